package proxies

import (
	"net/http"
	"testing"
	"time"

	reversehttp "reversehttp/sdk-go"
)

// A proxy that passes upgrades passes a link in plain HTTP.
func TestALinkPassesAProxyThatPassesUpgrades(t *testing.T) {
	squid := startSquid(t, "http_upgrade_request_protocols websocket allow all")
	l := lend(t, "localhost", false, nil)
	serve(t, "http://"+l.host, reversehttp.Options{Client: squid.client(t)})
	check(t, l)
	if links, polls := l.count("link"), l.count("stream")+l.count("batch"); links != 1 || polls != 0 {
		t.Errorf("%d links and %d polls came to the gateway, want one link", links, polls)
	}
}

// A proxy that closes what is idle for less time than the gateway's pings are apart cuts links: each is followed by another, and
// visitors notice nothing.
func TestALinkThatAProxyFindsIdleIsOpenedAgain(t *testing.T) {
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
				t.Fatalf("%d links came to the gateway, want %d: the proxy cuts what is idle", l.count("link"), links+2)
			}
			<-time.After(20 * time.Millisecond)
		}
	}
	check(t, l)
}
