// Command hello answers every request with a greeting.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"

	reversehttp "reversehttp/sdk-go"
)

func main() {
	session, err := reversehttp.Claim(context.Background(), os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(session.URL())
	log.Fatal(session.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from Go: %s %s\n", r.Method, r.URL.Path)
	})))
}
