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

// Other users can see arguments in the process list, and child processes inherit the environment.
// So each flag that holds secrets, --x, has a counterpart --x-file for a file with one secret a
// line. Empty lines and lines that begin with # are skipped. Both flags may be used together.

// mostSecrets is the largest such file, in bytes.
const mostSecrets = 1 << 20

// readSecrets adds the secrets in files to the flags that hold secrets.
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

// secretsIn returns the secrets in a file. A file without any is an error, since an empty list of
// keys would open the gateway to everyone.
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
		return nil, errors.New("it has no secret; write one on each line")
	}
	return lines, nil
}

// warnOfOpenFiles warns about files with secrets that other users can read.
func (o *options) warnOfOpenFiles(log *slog.Logger) {
	files := []string{o.ClaimKeysFile, o.DevicesFile, o.AdminKeyFile, o.TLSKey, o.ACMEDNSKey}
	if o.file != nil && (o.file.used["claim-keys"] || o.file.used["family-device"]) {
		files = append(files, strings.TrimPrefix(o.file.path, "--config="))
	}
	slices.Sort(files)
	for _, name := range slices.Compact(files) {
		// Windows has no such permissions, and they mean nothing for a pipe.
		info, err := os.Stat(name)
		if runtime.GOOS != "windows" && err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o044 != 0 {
			log.Warn("other users can read a file with secrets", "file", name, "mode", info.Mode().Perm().String(), "do", "chmod 600 "+name)
		}
	}
}
