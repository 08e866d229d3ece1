package wire

import (
	"crypto/tls"
	"net"
	"slices"
	"testing"
)

func TestHTTP2IsPreferred(t *testing.T) {
	below, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := New(nil, nil, nil).ListenTLS(below, &tls.Config{}, map[string]func(*tls.Conn){"rh1": nil, "rh2": nil})
	defer func() { _ = l.Close() }()
	if got, want := l.(*tlsListener).config.NextProtos, []string{"h2", "http/1.1", "rh2", "rh1"}; !slices.Equal(got, want) {
		t.Errorf("protocols = %q, want %q", got, want)
	}
}
