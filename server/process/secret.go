package process

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"strings"
)

// What is in arguments is in the list of processes, and what is in the environment in that of each child. So each flag
// that holds secrets, --x, has one that names a file with them, --x-file: one a line; empty lines and those that begin
// with # are skipped. Both may be given.

// mostSecrets bounds such a file, in bytes.
const mostSecrets = 1 << 20

// readSecrets adds what is in files to the flags that hold secrets.
func (o *options) readSecrets() error {
	for _, s := range []struct {
		flag, file string
		into       *[]string
	}{{"--claim-keys-file", o.ClaimKeysFile, &o.ClaimKeys}, {"--family-device-file", o.DevicesFile, &o.Devices}} {
		if s.file == "" {
			continue
		}
		lines, err := secretsIn(s.file)
		if err != nil {
			return fmt.Errorf("%s=%s: %w", s.flag, s.file, err)
		}
		*s.into = append(*s.into, lines...)
	}
	return nil
}

// secretsIn returns the lines of a file. One without any is an error: whoever names keys must not open the gateway.
func secretsIn(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, mostSecrets+1))
	switch {
	case err != nil:
		return nil, err
	case len(content) > mostSecrets:
		return nil, fmt.Errorf("it is larger than %d bytes", mostSecrets)
	}
	var lines []string
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	if len(lines) == 0 {
		return nil, errors.New("it has no secret; write one a line")
	}
	return lines, nil
}

// warnOfOpenFiles warns of files with secrets that other users may read.
func (o *options) warnOfOpenFiles(log *slog.Logger) {
	files := []string{o.ClaimKeysFile, o.DevicesFile, o.AdminKeyFile, o.TLSKey, o.ACMEDNSKey}
	if o.file != nil && (o.file.used["claim-keys"] || o.file.used["family-device"]) {
		files = append(files, strings.TrimPrefix(o.file.path, "--config="))
	}
	slices.Sort(files)
	for _, name := range slices.Compact(files) {
		// Windows has no such bits, and what is no file, such as a pipe, is for whoever opens it.
		info, err := os.Stat(name)
		if runtime.GOOS != "windows" && err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o044 != 0 {
			log.Warn("other users may read a file with secrets", "file", name, "mode", info.Mode().Perm().String(), "do", "chmod 600 "+name)
		}
	}
}
