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

// target is the URL of a local server. 3000, :3000, localhost:3000 and localhost do as well, and unix:/path.sock for a Unix socket.
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

// UnmarshalText is for kong, which would find other ways in a URL that was embedded.
func (t *target) UnmarshalText(text []byte) (err error) {
	if path, ok := strings.CutPrefix(string(text), "unix:"); ok {
		if path = strings.TrimPrefix(path, "//"); path == "" {
			return errors.New("unix: names no socket; give its path, such as unix:/run/app.sock")
		}
		// The server sees this host, unless it sees the visitor's.
		t.url = &url.URL{Scheme: "http", Host: "localhost"}
		t.socket, err = filepath.Abs(path)
		return err
	}
	t.url, err = parseTarget(string(text))
	return err
}

// below returns the path below which visitors' targets are asked for, as it was given, without a final slash.
func (t *target) below() string {
	path := t.url.RawPath // only where net/url would write it in another way
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
			err = why.Err // without the URL, which is shown already
		}
		return nil, fmt.Errorf("%q is no server: %w; give a URL such as http://localhost:3000, or a port", given, err)
	}
	port, number := 0, u.Port()
	if number != "" {
		port, err = strconv.Atoi(number)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("%q is no server: only http and https are forwarded", given)
	case u.Host == "":
		return nil, fmt.Errorf("%q is no server: it names no host; give a URL such as http://localhost:3000, or a port", given)
	case err != nil || number != "" && (port < 1 || port > 65535):
		return nil, fmt.Errorf("%q is no server: ports are 1 to 65535", given)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		// Not shown: there may be a password in it.
		return nil, errors.New("the URL of the server has more than scheme, host, port and path; leave the rest out")
	case u.Hostname() == "":
		u.Host = net.JoinHostPort("localhost", number)
	}
	return u, nil
}
