package proxies

import (
	"net/http"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// Without TLS too, a link passes a proxy that passes Upgrade on.
func TestALinkPassesAProxyThatPassesUpgrades(t *testing.T) {
	squid := startSquid(t, "http_upgrade_request_protocols websocket allow all")
	l := lend(t, "localhost", false, nil)
	serve(t, "http://"+l.host, reversehttp.Options{Client: squid.client(t)})
	check(t, l)
	if links, polls := l.count("link"), l.count("stream")+l.count("batch"); links != 1 || polls != 0 {
		t.Errorf("%d links and %d polls came to the gateway, want one link", links, polls)
	}
}

// The proxy closes connections that are idle for less time than is between two pings, so it cuts links. The program
// opens another each time, and visitors notice nothing.
func TestALinkThatAProxyClosesAsIdleIsOpenedAgain(t *testing.T) {
	tinyproxy := startTinyproxy(t, 1)
	l := lend(t, "localhost", true, nil)
	client := tinyproxy.client(t)
	client.Transport.(*http.Transport).TLSClientConfig = l.Client().Transport.(*http.Transport).TLSClientConfig
	serve(t, "https://"+l.host, reversehttp.Options{Client: client, Transport: reversehttp.TransportLink})
	for links := range 3 {
		check(t, l)
		deadline := time.Now().Add(patience)
		for l.count("link") < links+2 {
			if time.Now().After(deadline) {
				t.Fatalf("%d links came to the gateway, want %d, because the proxy cuts idle ones", l.count("link"), links+2)
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	check(t, l)
}
