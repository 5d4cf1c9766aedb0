package manifest

// ParseMade reads objects that a program made of a file: they have the file for their origin, and no line of it.
func ParseMade(file string, data []byte) ([]Object, error) {
	objects, err := Parse(file, data)
	for _, o := range objects {
		o.Node.Line, o.Node.Column = 0, 0
	}
	return objects, err
}
