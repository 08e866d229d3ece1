package main

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"

	reversehttp "reversehttp/sdk-go"
	"reversehttp/server/gateway"
)

func TestTheRecordsOfADomainArePrinted(t *testing.T) {
	l := lend(t, hostShape, gateway.Options{LookupTXT: func(context.Context, string) ([]string, error) {
		return nil, &net.DNSError{IsNotFound: true}
	}})
	out := &buffer{}
	s := servingAt(l, newJSONView(out))
	s.Domain = "hooks.example.org"
	ended := make(chan *failure, 1)
	go func() { ended <- s.run(&echo{}) }()
	<-s.online
	close(s.stop)
	if f := <-ended; f != nil {
		t.Error(f)
	}
	if got := out.String(); !strings.Contains(got, `"domain":"hooks.example.org","record":"_reversehttp.hooks.example.org","value":"reversehttp=`) {
		t.Errorf("printed %s", got)
	}
}

func TestTheRecordsOfADomainArePrintedForPeople(t *testing.T) {
	for want, d := range map[string]reversehttp.Domain{
		"https://hooks.example.org/ leads here too": {URL: "https://hooks.example.org/", Record: "r", Value: "v"},
		"does not lead here: The operator":          {Problem: "The operator lists it for another label."},
		"\nr TXT \"v\"":                             {Record: "r", Value: "v", Problem: "There is none."},
	} {
		var b bytes.Buffer
		(&pages{out: &b}).domain("hooks.example.org", d)
		if !strings.Contains(b.String(), want) {
			t.Errorf("%+v is printed as %q, want %q", d, &b, want)
		}
	}
}
