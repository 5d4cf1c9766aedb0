package template

import (
	"maps"
	"regexp"
	"strconv"
	"strings"
)

// Image is a built image as templates see it.
type Image struct {
	// Name is the artifact's image name; Reference what was built: name:tag@digest.
	Name, Reference string
}

// Images gives the variables of built images, for values of helm releases. Each image has them under its
// name, IMAGE_TAG_gcr_io_my_app, and by its place: without a number for the first, IMAGE_TAG2 for the next.
func Images(images []Image) map[string]string {
	vars := map[string]string{}
	for i, image := range images {
		number := ""
		if i > 0 {
			number = strconv.Itoa(i + 1)
		}
		for k, v := range imageVars(image) {
			vars[k+number] = v
			vars[k+"_"+Sanitize(image.Name)] = v
		}
	}
	return vars
}

// imageVars are the variables of one image. DIGEST_ALGO and DIGEST_HEX are the reference cut at its
// first colon, as they have always been.
func imageVars(image Image) map[string]string {
	repo, tag, digest := split(image.Reference)
	vars := map[string]string{
		"IMAGE_NAME": image.Name, "DIGEST": image.Reference,
		"IMAGE_REPO": repo, "IMAGE_TAG": tag, "IMAGE_DIGEST": digest,
	}
	if image.Reference == "" {
		return vars
	}
	domain := domainOf(repo)
	maps.Copy(vars, map[string]string{
		"IMAGE_DOMAIN":          domain,
		"IMAGE_REPO_NO_DOMAIN":  strings.TrimPrefix(repo, domain+"/"),
		"IMAGE_FULLY_QUALIFIED": image.Reference,
		"DIGEST_HEX":            image.Reference,
	})
	if algo, hex, found := strings.Cut(image.Reference, ":"); found {
		vars["DIGEST_ALGO"], vars["DIGEST_HEX"] = algo, hex
	}
	return vars
}

// split takes name:tag@digest apart.
func split(reference string) (repo, tag, digest string) {
	repo, digest, _ = strings.Cut(reference, "@")
	if i := strings.LastIndex(repo, ":"); i > strings.LastIndex(repo, "/") {
		repo, tag = repo[:i], repo[i+1:]
	}
	return repo, tag, digest
}

// domainOf gives the first part of a repository where it could be a host; unlike Docker's rule, it need
// not have a dot.
func domainOf(repo string) string {
	first, _, found := strings.Cut(repo, "/")
	host := regexp.MustCompile(`^([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(\.([a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*(:[0-9]+)?$`)
	if found && host.MatchString(first) {
		return first
	}
	return ""
}
