// Command approval asks a person whether a script may go on: it prints a URL, waits until somebody who has it decides,
// and ends with 0 if they approve, with 1 if they do not, and with 2 if nobody does within ten minutes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	reversehttp "reversehttp/sdk-go"
)

const page = `<!doctype html><html lang="en"><meta name="viewport" content="width=device-width"><title>Approval</title>
<h1>May it go on?</h1>
<form method="post" action="decision"><button name="decision" value="approved">Yes</button> <button name="decision" value="refused">No</button></form>
`

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	session, err := reversehttp.Claim(ctx, os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- session.Serve(http.HandlerFunc(ask)) }()
	fmt.Println(session.URL())
	// A GET decides nothing: whatever shows a preview of the URL sends one.
	decided, err := session.WaitFor(ctx, "/decision", &reversehttp.WaitOptions{Accept: func(r *http.Request) bool {
		return r.Method == http.MethodPost && r.FormValue("decision") != ""
	}})
	down, end := context.WithTimeout(context.Background(), 10*time.Second)
	defer end()
	if failed := session.Shutdown(down); failed != nil { // the page that can be closed is there once it returns
		log.Print(failed)
	}
	if failed := <-served; !errors.Is(failed, reversehttp.ErrClosed) {
		log.Print(failed)
	}
	switch {
	case err != nil:
		log.Print(err)
		os.Exit(2)
	case decided.FormValue("decision") != "approved":
		fmt.Println("refused")
		os.Exit(1)
	}
	fmt.Println("approved")
}

func ask(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = io.WriteString(w, page) // a person who left decides nothing
}
