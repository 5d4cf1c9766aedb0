package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// printTail prints the last lines of the file, all of them if lines is negative, and leaves it read to its end.
func printTail(out io.Writer, file *os.File, lines int) error {
	content, err := io.ReadAll(file)
	if err != nil {
		return fmt.Errorf("cannot read the log: %w", err)
	}
	if lines >= 0 {
		all := bytes.SplitAfter(content, []byte("\n"))
		// After the last line break there is nothing, and that is no line.
		if len(all[len(all)-1]) == 0 {
			all = all[:len(all)-1]
		}
		content = bytes.Join(all[max(0, len(all)-lines):], nil)
	}
	_, err = out.Write(content)
	return err
}

// printGrowth prints what is appended to the file until ctx ends.
func printGrowth(ctx context.Context, out io.Writer, file *os.File) error {
	for {
		n, err := io.Copy(out, file)
		if err != nil {
			return fmt.Errorf("cannot follow the log: %w", err)
		}
		if n > 0 {
			continue
		}
		// A log that has become shorter was cut and begins anew.
		here, err := file.Seek(0, io.SeekCurrent)
		if err != nil {
			return fmt.Errorf("cannot follow the log: %w", err)
		}
		if info, err := file.Stat(); err == nil && info.Size() < here {
			if _, err := file.Seek(0, io.SeekStart); err != nil {
				return fmt.Errorf("cannot follow the log: %w", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(200 * time.Millisecond):
		}
	}
}
