package manifest

// Inherit gives objects that a program made of others the origins of those: by their place where kinds agree, else by their names. The rest
// keeps its own.
func Inherit(made, from []Object) []Object {
	origins := make(map[[4]string]Object, len(from))
	same := len(made) == len(from)
	for i, o := range from {
		origins[identity(o)] = o
		same = same && made[i].Kind() == o.Kind()
	}
	for i, o := range made {
		origin, known := origins[identity(o)]
		if same {
			origin, known = from[i], true
		}
		if known {
			made[i].File, o.Node.Line, o.Node.Column = origin.File, origin.Node.Line, origin.Node.Column
		}
	}
	return made
}

func identity(o Object) [4]string { return [4]string{o.Group(), o.Kind(), o.Namespace(), o.Name()} }
