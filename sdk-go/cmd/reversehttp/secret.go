package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// Secrets can be given in files, because other users can see arguments in the process list.

// secretMost is the largest such file, in bytes.
const secretMost = 4 << 10

// secretFile is the secret in a file, without the line break at its end.
type secretFile struct {
	secret string
	// open is the name of the file if others can read it, and otherwise empty.
	open string
}

// UnmarshalText reads the file that text names, for kong. An empty name means no secret.
func (s *secretFile) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	name := string(text)
	f, err := os.Open(name)
	if err != nil {
		return unread(name, err)
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, secretMost+1))
	if err != nil {
		return unread(name, err)
	}
	info, err := f.Stat()
	if err != nil {
		return unread(name, err)
	}
	if info.Mode().IsRegular() && othersMay(info) {
		s.open = name
	}
	s.secret = strings.TrimRight(string(content), "\r\n")
	switch {
	case s.secret == "":
		return fmt.Errorf("%q is empty; write the secret in it", name)
	case len(content) > secretMost || strings.ContainsAny(s.secret, "\r\n"):
		return fmt.Errorf("%q has more than one line; write only the secret in it", name)
	}
	return nil
}

func unread(name string, err error) error {
	var why *fs.PathError
	if errors.As(err, &why) {
		err = why.Err // without the name, which the message already has
	}
	return fmt.Errorf("%q cannot be read: %w; give a file with the secret", name, err)
}

// secrets sets flags from files with secrets, and notes files that others can read.
func (o *options) secrets(note func(string)) error {
	for _, s := range []struct {
		flag string
		file *secretFile
		into *string
	}{{"token", &o.TokenFile, &o.Token}, {"key", &o.KeyFile, &o.Key}} {
		if s.file.secret == "" {
			continue
		}
		if *s.into != "" {
			return fmt.Errorf("the %[1]s is given twice, by --%[1]s or REVERSEHTTP_%[2]s, and by a file: leave one out", s.flag, strings.ToUpper(s.flag))
		}
		if s.file.open != "" {
			note(fmt.Sprintf("others can read %s, which has your %s: chmod 600 it", printable(s.file.open), s.flag))
		}
		*s.into = s.file.secret
	}
	for _, name := range o.gates.open() {
		note(fmt.Sprintf("others can read %s, which has a secret: chmod 600 it", printable(name)))
	}
	return nil
}
