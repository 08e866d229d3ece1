package main

import (
	"os"
	"strings"
)

// The colours of a terminal (ECMA-48, 8.3.117).
const (
	bold   = "1"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// wantsColours reports whether terminals may show colours; see https://no-color.org.
func wantsColours() bool { return os.Getenv("NO_COLOR") == "" }

// paint returns text in a colour.
func paint(text, colour string) string {
	if text == "" || colour == "" {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// colourOf returns the colour of a status as the table prints it.
func colourOf(status string) string {
	switch status = strings.TrimSpace(status); {
	case status == "" || status == "...":
		return ""
	case status[0] == '2':
		return green
	case status[0] == '1' || status[0] == '3':
		return cyan
	case status[0] == '4':
		return yellow
	}
	return red // 5xx, or no status
}

const (
	// Lines of a table above its exchanges.
	headLines = 4
	// Where the status stands in the row of an exchange.
	statusFrom, statusTo = 19, 25
)

// paintLine colours the line of a table at index i.
func paintLine(i int, line string) string {
	switch {
	case i == 0:
		url, rest, more := strings.Cut(line, " ")
		if !more {
			return paint(line, bold)
		}
		return paint(url, bold) + " " + rest
	case i >= headLines:
		return paintRow(line)
	}
	return line
}

// paintRow colours the status in the row of an exchange.
func paintRow(line string) string {
	if len(line) < statusTo {
		return line
	}
	return line[:statusFrom] + paint(line[statusFrom:statusTo], colourOf(line[statusFrom:statusTo])) + line[statusTo:]
}
