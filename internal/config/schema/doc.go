// Package schema knows which field of a skaffold.yaml exists in which apiVersion.
//
// The knowledge is table.txt, condensed from the published JSON schemas by ./gen. A type is
// decoded when a file first uses it, so that a run pays for what its file holds.
package schema

//go:generate go run ./gen $SCHEMAS table.txt
