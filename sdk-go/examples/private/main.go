// Command private is a service for those who have its token. The gateway checks that, so strangers do not reach the
// program at all.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"

	"reversehttp/schema"
	reversehttp "reversehttp/sdk-go"
)

func main() {
	token := rand.Text()
	session, err := reversehttp.Claim(context.Background(), os.Args[1], &reversehttp.Options{
		Policy: &reversehttp.Policy{Bearer: &[]schema.PolicyBearer{{Name: "friend", Token: token}}},
	})
	if err != nil {
		log.Fatal(err)
	}
	if session.Policy() == nil {
		log.Fatal("the gateway is older than policies, and lets everybody in")
	}
	fmt.Println(session.URL())
	fmt.Println(token) // curl --oauth2-bearer TOKEN URL
	log.Fatal(session.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "for friends only")
	})))
}
