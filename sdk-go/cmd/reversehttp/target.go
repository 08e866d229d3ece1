package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
)

// target is the URL of a local server. It can also be written as 3000, :3000, localhost:3000,
// localhost, or unix:/path.sock for a Unix socket.
type target struct {
	url    *url.URL
	socket string // path of a Unix socket; empty for a server on a port
}

// String returns the target as people write it.
func (t *target) String() string {
	if t.socket != "" {
		return "unix:" + t.socket
	}
	return t.url.String()
}

// at names where the server listens.
func (t *target) at() string {
	if t.socket != "" {
		return t.String()
	}
	return t.url.Host
}

// UnmarshalText parses a target for kong. The URL is not embedded, since kong would otherwise use
// its methods.
func (t *target) UnmarshalText(text []byte) (err error) {
	if path, ok := strings.CutPrefix(string(text), "unix:"); ok {
		if path = strings.TrimPrefix(path, "//"); path == "" {
			return errors.New("unix: names no socket; give its path, such as unix:/run/app.sock")
		}
		// The host that the server sees, unless it sees the visitor's.
		t.url = &url.URL{Scheme: "http", Host: "localhost"}
		t.socket, err = filepath.Abs(path)
		return err
	}
	t.url, err = parseTarget(string(text))
	return err
}

// below returns the path of the target, as it was written, without a final slash. Visitors' targets
// are requested below it.
func (t *target) below() string {
	path := t.url.RawPath // set only if net/url would encode the path differently
	if path == "" {
		path = t.url.EscapedPath()
	}
	return strings.TrimSuffix(strings.ReplaceAll(path, " ", "%20"), "/")
}

func parseTarget(s string) (*url.URL, error) {
	given := s
	if _, err := strconv.Atoi(s); err == nil {
		s = ":" + s
	}
	if !strings.Contains(s, "://") {
		s = "http://" + s
	}
	u, err := url.Parse(s)
	if err != nil {
		var why *url.Error
		if errors.As(err, &why) {
			err = why.Err // without the URL, which the message already has
		}
		return nil, fmt.Errorf("%q is not a server: %w; use a URL such as http://localhost:3000, or a port", given, err)
	}
	port, number := 0, u.Port()
	if number != "" {
		port, err = strconv.Atoi(number)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q is not a server: only http and https are forwarded", given)
	case u.Host == "":
		return nil, fmt.Errorf("%q is not a server: it names no host; use a URL such as http://localhost:3000, or a port", given)
	case err != nil || number != "" && (port < 1 || port > 65535):
		return nil, fmt.Errorf("%q is not a server: ports are 1 to 65535", given)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		// The URL is not shown, since it may hold a password.
		return nil, errors.New("the URL of the server has more than scheme, host, port and path; leave the rest out")
	case u.Hostname() == "":
		u.Host = net.JoinHostPort("localhost", number)
	}
	return u, nil
}
