package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/pflag"
)

// flagError says what a flag's value should have been, where the parser of flags speaks of Go's functions.
func flagError(err error) error {
	var value *pflag.InvalidValueError
	var number *strconv.NumError
	if !errors.As(err, &value) || !errors.As(err, &number) {
		return err
	}
	wanted := "a whole number"
	if number.Func == "ParseBool" {
		wanted = "true or false"
	}
	return fmt.Errorf("--%s %s: want %s", value.GetFlag().Name, value.GetValue(), wanted)
}
