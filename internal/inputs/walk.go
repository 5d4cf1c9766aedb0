package inputs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// maxLinks is how many symbolic links are followed on the way to one source, as the kernel's limit.
const maxLinks = 40

// tree is a folder that files are taken from.
type tree struct {
	root   string // absolute
	prefix string // before each path in the manifest: "" or "name:"
	ignore *ignore
	noGit  bool // leave out everything called .git
	index  *Index
	skip   func(rel string) (bool, error) // further files and folders to leave out; may be nil
	slots  chan struct{}                  // a walk gets a goroutine of its own per slot, and goes on by itself where there is none
}

// source is one thing that is read from a tree.
type source struct {
	pattern string // slashes, may have wildcards; "" or "." is everything
	// below, when set, is a pattern in the form of .dockerignore for what is taken from the folders that pattern names (COPY --parents).
	below string
	// exclude are such patterns for what is not (COPY --exclude).
	exclude []string
}

// collect reads what sources name and returns the files, in no order and possibly twice. missing are the indices of sources without
// wildcards that do not exist or are ignored.
func (t *tree) collect(ctx context.Context, sources []source) (files []File, missing []int, err error) {
	c := &collector{tree: t, ctx: ctx}
	for i, s := range sources {
		found, err := c.source(s)
		if err != nil {
			c.wait()
			return nil, nil, err
		}
		if !found && !hasWildcards(s.pattern) {
			missing = append(missing, i)
		}
	}
	c.wait()
	return c.files, missing, c.err
}

type collector struct {
	*tree
	ctx context.Context
	wg  sync.WaitGroup

	mu    sync.Mutex
	files []File
	err   error
}

func (c *collector) wait() { c.wg.Wait() }

func (c *collector) add(files []File, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files = append(c.files, files...)
	if c.err == nil {
		c.err = err
	}
}

// filter is what a source takes of the folders it names.
type filter struct {
	base           string // the folder that the patterns are relative to
	below, exclude *ignore
}

func (c *collector) source(s source) (bool, error) {
	var f filter
	var err error
	if s.below != "" {
		if f.below, err = newIgnore([]string{s.below}); err != nil {
			return false, fmt.Errorf("pattern %q: %w", s.below, err)
		}
	}
	if len(s.exclude) > 0 {
		if f.exclude, err = newIgnore(s.exclude); err != nil {
			return false, fmt.Errorf("pattern %q: %w", s.exclude, err)
		}
	}
	return c.resolve("", split(s.pattern, false), f, maxLinks)
}

// part is one component of a path: a pattern as in a Dockerfile, or a name as it is on disk.
type part struct {
	text    string
	literal bool
}

// split gives the components of a path inside the tree: "/a/../b/" is b.
func split(p string, literal bool) []part {
	p = strings.TrimPrefix(path.Join("/", filepath.ToSlash(p)), "/")
	if p == "" {
		return nil
	}
	var parts []part
	for text := range strings.SplitSeq(p, "/") {
		parts = append(parts, part{text, literal || !hasWildcards(text)})
	}
	return parts
}

func hasWildcards(p string) bool { return strings.ContainsAny(p, `*?[\`) }

// resolve follows the components of a source from dir: wildcards to all that they match, symbolic links to where they point inside the
// tree, as BuildKit does. Links on the way are inputs as well. It says whether anything is there.
func (c *collector) resolve(dir string, parts []part, f filter, links int) (bool, error) {
	if len(parts) == 0 {
		return true, c.startWalk(dir, f)
	}
	if parts[0].literal {
		return c.step(dir, parts[0].text, parts[1:], f, links)
	}
	entries, err := os.ReadDir(c.abs(dir))
	if err != nil {
		return false, ignoreMissing(err)
	}
	found := false
	for _, e := range entries {
		ok, err := path.Match(parts[0].text, e.Name())
		if err != nil {
			return false, fmt.Errorf("pattern %q: %w", parts[0].text, err)
		}
		if !ok {
			continue
		}
		ok, err = c.step(dir, e.Name(), parts[1:], f, links)
		if err != nil {
			return false, err
		}
		found = found || ok
	}
	return found, nil
}

// step follows one name from dir, and the rest from there.
func (c *collector) step(dir, name string, rest []part, f filter, links int) (bool, error) {
	rel := path.Join(dir, name)
	info, err := os.Lstat(c.abs(rel))
	if err != nil {
		return false, ignoreMissing(err)
	}
	if info.IsDir() {
		return c.resolve(rel, rest, f, links)
	}
	ignored, _, err := c.ignore.state(rel)
	if err != nil || ignored {
		return false, err
	}
	switch {
	case info.Mode().IsRegular() && len(rest) == 0:
		return true, c.addOne(rel, info)
	case info.Mode()&fs.ModeSymlink != 0:
		if links == 0 {
			return false, fmt.Errorf("%s: too many symbolic links", c.abs(rel))
		}
		target, err := os.Readlink(c.abs(rel))
		if err != nil {
			return false, err
		}
		if !path.IsAbs(target) {
			target = path.Join("/", dir, target)
		}
		found, err := c.resolve("", append(split(target, true), rest...), f, links-1)
		if err != nil || !found && len(rest) > 0 {
			return false, err
		}
		return found, c.addOne(rel, info)
	}
	return false, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) || isNotDir(err) {
		return nil
	}
	return err
}

func (c *collector) abs(rel string) string {
	if rel == "" {
		return c.root
	}
	return c.root + string(filepath.Separator) + filepath.FromSlash(rel)
}

func (c *collector) addOne(rel string, info fs.FileInfo) error {
	f, err := c.file(rel, stateOf(info))
	if err == nil {
		c.add([]File{f}, nil)
	}
	return err
}

// file reads one regular file or symbolic link.
func (c *collector) file(rel string, s state) (File, error) {
	f := File{Path: c.prefix + rel, Kind: Regular}
	var err error
	switch {
	case s.mode&fs.ModeSymlink != 0:
		f.Kind = Symlink
		f.Link, err = os.Readlink(c.abs(rel))
		f.Link = filepath.ToSlash(f.Link)
		return f, err
	case s.mode&0o111 != 0:
		f.Kind = Executable
	}
	f.Sum, err = c.index.sum(c.ctx, c.abs(rel), s)
	return f, err
}

func (c *collector) startWalk(dir string, f filter) error {
	ignored, st, err := c.ignore.state(dir)
	if err != nil || ignored && !c.ignore.exceptionBelow(dir) {
		return err
	}
	f.base = dir
	c.walk(dir, st, f, ignoreState{}, ignoreState{})
	return nil
}

// walk takes the files of a folder and of those in it.
func (c *collector) walk(dir string, st ignoreState, f filter, below, exclude ignoreState) {
	if err := c.ctx.Err(); err != nil {
		c.add(nil, err)
		return
	}
	// What is gone by the time it is looked at was never there.
	open, entries, err := openDir(c.abs(dir))
	if err != nil {
		c.add(nil, ignoreMissing(err))
		return
	}
	defer open.Close()
	files := make([]File, 0, len(entries))
	for _, e := range entries {
		if c.noGit && e.Name() == ".git" {
			continue
		}
		rel := path.Join(dir, e.Name())
		v, err := c.consider(rel, e, st, f, below, exclude)
		if err != nil {
			c.add(nil, err)
			return
		}
		switch {
		case e.IsDir() && v.enter:
			c.fork(func() { c.walk(rel, v.ignore, f, v.below, v.exclude) })
		case !e.IsDir() && v.take:
			one, counts, err := c.entry(rel, open, e)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				c.add(nil, err)
				return
			}
			if err == nil && counts {
				files = append(files, one)
			}
		}
	}
	c.add(files, nil)
}

// entry reads one entry of a folder, if it is a file or a symbolic link.
func (c *collector) entry(rel string, dir *os.File, e fs.DirEntry) (f File, counts bool, err error) {
	s, err := lstatIn(dir, e.Name())
	if err != nil || !s.mode.IsRegular() && s.mode&fs.ModeSymlink == 0 {
		return f, false, err
	}
	f, err = c.file(rel, s)
	return f, true, err
}

// openDir opens a folder and lists it, in no order.
func openDir(path string) (*os.File, []fs.DirEntry, error) {
	dir, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	entries, err := dir.ReadDir(-1)
	if err != nil {
		dir.Close()
	}
	return dir, entries, err
}

// verdict is what becomes of one entry of a folder.
type verdict struct {
	take, enter            bool
	ignore, below, exclude ignoreState
}

func (c *collector) consider(rel string, e fs.DirEntry, st ignoreState, f filter, below, exclude ignoreState) (v verdict, err error) {
	ignored, ign, err := c.ignore.match(rel, st)
	if err != nil {
		return v, err
	}
	v = verdict{take: !ignored, ignore: ign}
	if c.skip != nil {
		if skip, err := c.skip(rel); skip || err != nil {
			return verdict{}, err
		}
	}
	v.enter = e.IsDir() && (!ignored || c.ignore.exceptionBelow(rel))
	inner := strings.TrimPrefix(strings.TrimPrefix(rel, f.base), "/")
	if f.below != nil && (v.take || v.enter) {
		var wanted bool
		if wanted, v.below, err = f.below.match(inner, below); err != nil {
			return v, err
		}
		v.take = v.take && wanted
	}
	if f.exclude != nil && (v.take || v.enter) {
		var unwanted bool
		if unwanted, v.exclude, err = f.exclude.match(inner, exclude); err != nil {
			return v, err
		}
		v.take = v.take && !unwanted
		v.enter = v.enter && (!unwanted || f.exclude.exceptionBelow(inner))
	}
	return v, nil
}

// fork runs f beside the caller where there is a slot, else at once.
func (c *collector) fork(f func()) {
	select {
	case c.slots <- struct{}{}:
		c.wg.Add(1)
		go func() {
			defer func() { <-c.slots; c.wg.Done() }()
			f()
		}()
	default:
		f()
	}
}

// isNotDir says that a file stands where a folder was looked for.
func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
