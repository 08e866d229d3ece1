package reversehttp_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os/signal"
	"syscall"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// stand is a gateway without visitors.
type stand struct {
	*httptest.Server
	polls chan struct{}
}

// standIn answers like such a gateway, so that the examples run anywhere.
func standIn() *stand {
	g := &scripted{}
	polls := make(chan struct{}, 1)
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/requests" {
			select {
			case polls <- struct{}{}:
			default:
			}
		}
		g.ServeHTTP(w, r)
	}))
	g.origin = "http://" + s.Listener.Addr().String()
	s.Start()
	return &stand{s, polls}
}

// polled waits until a session serves.
func (s *stand) polled() { <-s.polls }

func Example() {
	gateway := standIn()
	defer gateway.Close()

	router := http.NewServeMux()
	router.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "Hello, %s!\n", r.PathValue("name"))
	})
	c, err := reversehttp.Claim(context.Background(), gateway.URL, &reversehttp.Options{Label: "demo"})
	if errors.Is(err, reversehttp.ErrLabelTaken) {
		log.Fatal("try another label")
	}
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Println(c.URL())
	go func() {
		gateway.polled() // a program would go on
		c.Close()
	}()
	fmt.Println(c.Serve(router))
	// Output:
	// http://demo.localhost:8080/
	// reversehttp: session closed
}

func ExampleSession_Shutdown() {
	gateway := standIn()
	defer gateway.Close()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()

	c, err := reversehttp.Claim(ctx, gateway.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- c.Serve(http.FileServer(http.Dir("."))) }()

	go func() {
		gateway.polled()
		stop() // stands for Ctrl-C
	}()
	<-ctx.Done()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	fmt.Println(c.Shutdown(ctx), <-served)
	// Output: <nil> reversehttp: session closed
}

func ExampleRequestInfo() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		base := reversehttp.RequestInfo(r.Context()).Base
		http.Redirect(w, r, base+"login", http.StatusSeeOther)
	})
	http.Handle("/", handler)
}

func ExampleOptions_onState() {
	gateway := standIn()
	defer gateway.Close()
	c, err := reversehttp.Claim(context.Background(), gateway.URL, &reversehttp.Options{
		OnState: func(s reversehttp.State) { fmt.Println(s) },
	})
	if err != nil {
		log.Fatal(err)
	}
	c.Close()
	// Output:
	// online
	// closed
}
