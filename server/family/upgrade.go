package family

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// protocols returns the protocols to which r asks to upgrade, in order (RFC 9110, 7.8). HTTP/1.0
// has no upgrades.
func protocols(r *http.Request) (names []string) {
	if !r.ProtoAtLeast(1, 1) || r.ProtoMajor != 1 || !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") {
		return nil
	}
	return list(r.Header["Upgrade"])
}

// list returns the members of a list field (RFC 9110, 5.6.1).
func list(values []string) (members []string) {
	for _, v := range values {
		for one := range strings.SplitSeq(v, ",") {
			if one = strings.TrimSpace(one); one != "" {
				members = append(members, one)
			}
		}
	}
	return members
}

// switchTo answers r with 101 and returns its connection. fields follow Upgrade and Connection.
func switchTo(w http.ResponseWriter, protocol string, fields ...string) (net.Conn, error) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	head := fmt.Sprintf("HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: Upgrade\r\n", protocol)
	for _, f := range fields {
		head += f + "\r\n"
	}
	_ = conn.SetWriteDeadline(time.Now().Add(headTime))
	if _, err = conn.Write([]byte(head + "\r\n")); err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetWriteDeadline(time.Time{})
	return &buffered{conn, rw.Reader}, nil
}

// headTime is how long a peer may take to read a head.
const headTime = 30 * time.Second
