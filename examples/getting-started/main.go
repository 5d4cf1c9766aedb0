// my-web-app serves the page beside it on port 8080.
package main

import (
	"log"
	"net/http"
)

func main() {
	http.Handle("/", http.FileServer(http.Dir("/page")))
	log.Print("listening on :8080")
	log.Fatal(http.ListenAndServe(":8080", nil))
}
