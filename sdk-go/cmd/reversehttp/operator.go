package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"reversehttp/schema"
	"reversehttp/server/claim"
	"reversehttp/server/store"
)

// operatorAt has the flags for the operator's address of a gateway.
type operatorAt struct {
	Admin   string `default:"http://127.0.0.1:9090" env:"REVERSEHTTP_ADMIN" placeholder:"URL" help:"The gateway's --admin-listen, as a URL or unix:/path. Default: http://127.0.0.1:9090."`
	KeyFile string `name:"admin-key-file" env:"REVERSEHTTP_ADMIN_KEY_FILE" placeholder:"FILE" help:"File of the gateway's --admin-key-file, if it has one."`
}

// operatorTime is how long the gateway may take to begin its answer.
const operatorTime = time.Minute

// call sends a request to the operator's address and returns the content of a successful answer.
func (o *operatorAt) call(method, path string, content any) (io.ReadCloser, error) {
	base, transport := o.Admin, &http.Transport{ResponseHeaderTimeout: operatorTime} // no proxy, which would see the key
	if socket, unix := strings.CutPrefix(o.Admin, "unix:"); unix {
		base = "http://localhost"
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}
	}
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, &failure{exitUsage, fmt.Errorf("--admin=%s: give a URL such as http://127.0.0.1:9090, or unix:/run/reversehttp/admin.sock", printable(o.Admin))}
	}
	var body io.Reader
	if content != nil {
		text, err := json.Marshal(content)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, strings.TrimSuffix(base, "/")+path, body)
	if err != nil {
		return nil, &failure{exitUsage, err}
	}
	if o.KeyFile != "" {
		key, err := os.ReadFile(o.KeyFile)
		if err != nil {
			return nil, &failure{exitUsage, fmt.Errorf("--admin-key-file: %w", err)}
		}
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(key)))
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, &failure{exitUnreachable, fmt.Errorf("the operator's address at %s cannot be reached: %s; set the gateway's --admin-listen with --admin or REVERSEHTTP_ADMIN", printable(o.Admin), cause(err))}
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer func() { _ = resp.Body.Close() }()
	return nil, o.refused(resp)
}

// mostTold bounds how much of a refusal is read, in bytes.
const mostTold = 64 << 10

// refused returns the failure for an answer that is not a success.
func (o *operatorAt) refused(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, mostTold))
	var p schema.Problem
	_ = json.Unmarshal(text, &p)
	code := exitFailed
	switch {
	case p.Code == "":
		return &failure{exitUnreachable, fmt.Errorf("no gateway answers its operator at %s (%d); is --admin right?", printable(o.Admin), resp.StatusCode)}
	case p.Code == schema.CodeKeyNeeded, p.Code == schema.CodeKeyWrong:
		code = exitRefused
	case resp.StatusCode == http.StatusBadRequest:
		code = exitUsage
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusServiceUnavailable:
		code = exitUnreachable
	}
	return &failure{code, fmt.Errorf("%d %s: %s", resp.StatusCode, printable(string(p.Code)), printable(p.Detail))}
}

// adminReady reports by its exit code whether a gateway is ready.
type adminReady struct{ operatorAt }

func (c *adminReady) do(io.Writer, io.Writer) error {
	answer, err := c.call(http.MethodGet, "/readyz", nil)
	if err != nil {
		return err
	}
	return answer.Close()
}

// adminTakedown takes labels down.
type adminTakedown struct {
	operatorAt
	Target string `arg:"" help:"A label, an address, or a prefix such as 192.0.2.0/24: with an address all labels that it claims or serves."`
	Reason string `placeholder:"TEXT" help:"Why, for the audit log."`
}

func (c *adminTakedown) do(stdout, stderr io.Writer) error {
	ask := map[string]string{"label": c.Target, "reason": c.Reason}
	_, notAddress := netip.ParseAddr(c.Target)
	_, notPrefix := netip.ParsePrefix(c.Target)
	switch {
	case notAddress == nil || notPrefix == nil:
		ask = map[string]string{"address": c.Target, "reason": c.Reason}
	case !claim.ValidLabel(c.Target):
		return &failure{exitUsage, fmt.Errorf("%q is neither a label nor an address; of https://demo.example.com/ the label is demo", printable(c.Target))}
	}
	answer, err := c.call("POST", "/takedowns", ask)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }()
	var known struct {
		Kept      bool
		TakenDown []struct {
			Label, URL string
			Claimed    bool
			Error      string
		}
	}
	var all bytes.Buffer // print nothing unless the answer is complete
	if _, err = io.Copy(&all, answer); err == nil {
		err = json.Unmarshal(all.Bytes(), &known)
	}
	if err != nil {
		return fmt.Errorf("it is taken down, but the answer is incomplete: %w", err)
	}
	if _, err := all.WriteTo(stdout); err != nil {
		return err
	}
	for _, one := range known.TakenDown {
		_, _ = fmt.Fprintf(stderr, "taken down: %s (%s), claimed: %v; reversehttp admin restore-label %s lets it be claimed again\n", printable(one.Label), printable(one.URL), one.Claimed, printable(one.Label))
	}
	if len(known.TakenDown) == 0 {
		_, _ = fmt.Fprintf(stderr, "no label is claimed or served from %s\n", printable(c.Target))
	}
	if !known.Kept {
		return errors.New("the gateway could not store it: it is in force until the gateway ends; make room and take it down again")
	}
	return nil
}

// adminRestoreLabel lets a label be claimed again.
type adminRestoreLabel struct {
	operatorAt
	Label string `arg:"" help:"Label that was taken down."`
}

func (c *adminRestoreLabel) do(_, stderr io.Writer) error {
	answer, err := c.call("DELETE", "/takedowns/"+url.PathEscape(c.Label), nil)
	if err != nil {
		return err
	}
	_ = answer.Close()
	_, _ = fmt.Fprintf(stderr, "%s can be claimed again\n", printable(c.Label))
	return nil
}

// adminTakedowns lists the labels that are taken down.
type adminTakedowns struct{ operatorAt }

func (c *adminTakedowns) do(stdout, _ io.Writer) error {
	answer, err := c.call("GET", "/takedowns", nil)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }()
	var list struct{ Withdrawn []json.RawMessage }
	if err := json.NewDecoder(answer).Decode(&list); err != nil {
		return err
	}
	for _, one := range list.Withdrawn {
		if _, err := fmt.Fprintf(stdout, "%s\n", one); err != nil {
			return err
		}
	}
	return nil
}

// adminBackup writes a backup.
type adminBackup struct {
	operatorAt
	File string `arg:"" help:"File to write."`
}

func (c *adminBackup) do(_, stderr io.Writer) (err error) {
	f, err := os.CreateTemp(filepath.Dir(c.File), ".backup-*") // readable by this user only
	if err != nil {
		return &failure{exitUsage, err}
	}
	defer func() { _ = os.Remove(f.Name()) }()
	answer, err := c.call("GET", "/backup", nil)
	if err != nil {
		_ = f.Close()
		return err
	}
	_, err = io.Copy(f, answer)
	if err = errors.Join(err, answer.Close(), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("the backup is incomplete, and %s is unchanged: %w", printable(c.File), err)
	}
	content, err := store.Check(f.Name())
	if err != nil {
		return fmt.Errorf("the gateway did not send a backup, and %s is unchanged: %w", printable(c.File), err)
	}
	if err := os.Rename(f.Name(), c.File); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(stderr, "%d claims are in %s\n", content.Claims, printable(c.File))
	return nil
}

// adminRestore restores a backup.
type adminRestore struct {
	File string `arg:"" help:"File that admin backup wrote."`
	Data string `required:"" placeholder:"DIR" help:"Directory for the gateway's --data, not in use by a gateway. An existing store is moved to claims.db.before."`
}

func (c *adminRestore) do(_, stderr io.Writer) error {
	f, err := os.Open(c.File)
	if err != nil {
		return &failure{exitUsage, err}
	}
	defer func() { _ = f.Close() }()
	content, err := store.Restore(c.Data, f)
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(stderr, "%d claims are in %s; start the gateway with --data %[2]s\n", content.Claims, printable(c.Data))
	if content.Unreadable > 0 {
		_, _ = fmt.Fprintf(stderr, "%d more cannot be read; the gateway will skip them\n", content.Unreadable)
	}
	return nil
}
