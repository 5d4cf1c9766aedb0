package manifest

import (
	"bytes"
	"io"
)

// Stream writes objects as `render` prints them: YAML documents with --- between them, and none before the first, as Skaffold's are. Order
// and comments are those of the sources, so that equal sources give equal bytes.
func Stream(w io.Writer, objects []Object) error {
	var b bytes.Buffer
	if err := Write(&b, objects); err != nil {
		return err
	}
	_, err := w.Write(bytes.TrimPrefix(b.Bytes(), []byte("---\n")))
	return err
}
