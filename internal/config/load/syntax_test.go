package load_test

import (
	"strings"
	"testing"

	"github.com/davit-dev/davit/internal/config/diag"
	"github.com/davit-dev/davit/internal/config/load"
	"github.com/davit-dev/davit/internal/config/schema"
)

func TestWhatIsNoTextIsRefusedWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"\x7fELF\x02\x00" + strings.Repeat("\x01", 300): "f:1:1: this is not valid YAML: byte 0x7f is no text\n  1 | ?ELF??",
		"kind: Config\nx: \"ä\xff\"\n":                  "f:2:6: this is not valid YAML: byte 0xff is no text\n  2 | x: \"ä?\"\n    |      ^\n  save the file as UTF-8",
		"kind: Config\r\nx: a\x00b\r\n":                 "f:2:5: this is not valid YAML: byte 0x00 is no text\n  2 | x: a?b\n",
	} {
		_, err := load.Parse(schema.New(), &diag.Source{File: "f", Text: []byte(text)})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
