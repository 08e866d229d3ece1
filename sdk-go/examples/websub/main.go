// Command websub subscribes to a feed at a WebSub hub, and prints what the hub sends.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"

	reversehttp "reversehttp/sdk-go"
)

func main() {
	hub, topic, secret := os.Args[2], os.Args[3], rand.Text()
	session, err := reversehttp.Claim(context.Background(), os.Args[1], nil)
	if err != nil {
		log.Fatal(err)
	}
	// Receive confirms the subscription, and checks that what comes is of the hub.
	feed, err := reversehttp.Receive(reversehttp.Webhook{Preset: "websub", Secret: secret, Topic: topic}, http.HandlerFunc(printed))
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- session.Serve(feed) }()
	resp, err := http.PostForm(hub, url.Values{
		"hub.mode": {"subscribe"}, "hub.topic": {topic}, "hub.callback": {session.URL()}, "hub.secret": {secret},
	})
	if err != nil {
		log.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		log.Fatal("the hub answers ", resp.Status)
	}
	log.Fatal(<-served)
}

func printed(w http.ResponseWriter, r *http.Request) {
	content, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	fmt.Printf("%s\n", content)
}
