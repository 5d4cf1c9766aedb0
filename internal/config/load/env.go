package load

// EnvFile is the file of variables, NAME=value a line, that is read from the working folder. Variables that are set
// already win.
const EnvFile = "skaffold.env"
