package cli

import (
	"cmp"
	"encoding/json"
	"errors"

	"github.com/davit-dev/davit/internal/config/diag"
)

// failure is how programs get to know what went wrong: one JSON object on standard output.
type failure struct {
	Errors diag.List `json:"errors"`
}

// inJSON prints what went wrong as JSON where that was asked for; Main adds nothing then but the exit code. A command line that cannot be
// understood stays on standard error: it is for who wrote it.
func inJSON(w World, asked bool, err error) error {
	if _, usage := errors.AsType[usageError](err); err == nil || !asked || usage {
		return err
	}
	return told{err, json.NewEncoder(w.Stdout).Encode(failure{problems(err)})}
}

// problems gives what is wrong for programs: with file, line and column where it is an error of the config, and always with a code.
func problems(err error) diag.List {
	list := diag.List{}
	for _, e := range diag.All(err) {
		coded := *e
		coded.Code = cmp.Or(e.Code, diag.CodeParsing)
		list = append(list, &coded)
	}
	if err != nil && len(list) == 0 {
		list = diag.List{{Code: "UNKNOWN_ERROR", Cause: err.Error()}}
	}
	return list
}
