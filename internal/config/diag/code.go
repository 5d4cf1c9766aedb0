package diag

import "cmp"

// The codes of errors, as Skaffold's `inspect` answers them.
const (
	CodeParsing             = "CONFIG_FILE_PARSING_ERR"
	CodeFileNotFound        = "CONFIG_FILE_NOT_FOUND_ERR"
	CodeDependencyNotFound  = "CONFIG_DEPENDENCY_NOT_FOUND_ERR"
	CodeCacheNotFound       = "CONFIG_REMOTE_REPO_CACHE_NOT_FOUND_ERR"
	CodeBadFilter           = "CONFIG_BAD_FILTER_ERR"
	CodeDuplicateInFile     = "CONFIG_DUPLICATE_NAMES_SAME_FILE_ERR"
	CodeDuplicateElsewhere  = "CONFIG_DUPLICATE_NAMES_ACROSS_FILES_ERR"
	CodeApplyProfiles       = "CONFIG_APPLY_PROFILES_ERR"
	CodeProfilesNotFound    = "CONFIG_PROFILES_NOT_FOUND_ERR"
	CodeConflictingProfiles = "CONFIG_MULTI_IMPORT_PROFILE_CONFLICT_ERR"
)

// CodeOf gives the code of the first error in err; empty where the configuration is not at fault.
func CodeOf(err error) string {
	if list := All(err); len(list) > 0 {
		return cmp.Or(list[0].Code, CodeParsing)
	}
	return ""
}
