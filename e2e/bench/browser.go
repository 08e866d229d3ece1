package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// browser is a headless Chromium with a profile of its own. It ends with the bench, because the bench holds the
// other ends of its debugging pipe.
type browser struct {
	cmd     *exec.Cmd
	to      *os.File
	from    *os.File
	ended   chan struct{} // closed once it has ended
	profile string
}

// startBrowser starts a browser with a profile below dir.
func startBrowser(ctx context.Context, path, dir string) (*browser, error) {
	profile, err := os.MkdirTemp(dir, "profile")
	if err != nil {
		return nil, err
	}
	theirIn, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync",
		"--remote-debugging-pipe", "--user-data-dir="+profile)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4, as Chromium has it
	err = cmd.Start()
	_, _ = theirIn.Close(), theirOut.Close()
	b := &browser{cmd, to, from, make(chan struct{}), profile}
	if err != nil {
		_, _ = to.Close(), from.Close()
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	go func() {
		_ = cmd.Wait()
		close(b.ended)
	}()
	return b, nil
}

// open opens a page in a new tab.
func (b *browser) open(page string) error {
	_, err := fmt.Fprintf(b.to, "{\"id\":0,\"method\":\"Target.createTarget\",\"params\":{\"url\":%q}}\x00", page)
	return err
}

// close makes the browser end all its processes, and waits until they have ended.
func (b *browser) close() {
	_, _ = b.to.WriteString("{\"id\":1,\"method\":\"Browser.close\"}\x00")
	select {
	case <-b.ended:
	case <-time.After(10 * time.Second):
		_ = b.cmd.Process.Kill()
		<-b.ended
	}
	_, _ = b.to.Close(), b.from.Close()
	_ = os.RemoveAll(b.profile)
}
