package vectors

import (
	"fmt"
	"slices"
	"strings"

	"reversehttp/schema"
)

// Family is the content of doors.json: the doors by which programs serve, what each can carry, and
// conversations that show it.
type Family struct {
	Columns []Column `json:"columns"`
	Doors   []Door   `json:"doors"`
	Cases   []Talk   `json:"cases"`
	// Apart are the cases of request.json and response.json that some doors carry differently.
	Apart []Apart `json:"apart"`
}

// Column is something that a door may be able to carry.
type Column struct {
	Name  string `json:"name"`
	Title string `json:"title"`
}

// Door is a way to serve a claim.
type Door struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	// Envelope says that a program gets members that are not in the head of a request: attempt,
	// base, httpVersion, remoteAddr and url.
	Envelope bool `json:"envelope"`
}

// Talk is a conversation between visitors and a handler, whatever the door between them is.
type Talk struct {
	Case
	Column    string      `json:"column"`
	Steps     []Move      `json:"steps"`
	Otherwise []Otherwise `json:"otherwise"`
}

// Otherwise is how a case differs through doors that do not carry it like others.
type Otherwise struct {
	Doors []string `json:"doors"`
	// Says is the word in the table. Empty means yes.
	Says string `json:"says"`
	// Note says what happens instead.
	Note string `json:"note"`
	// Steps replace those of the case. Nil means that those apply.
	Steps []Move `json:"steps"`
}

// Move is one step: exactly one member besides Of is set.
type Move struct {
	// Of names the exchange. Empty means "a".
	Of string `json:"of"`

	Ask    *Ask   `json:"ask"`
	Sends  *Bytes `json:"sends"`
	Leaves bool   `json:"leaves"`
	Gets   *Gets  `json:"gets"`
	Takes  *Bytes `json:"takes"`

	Handed   *Head  `json:"handed"`
	Reads    *Bytes `json:"reads"`
	Informs  *Head  `json:"informs"`
	Answers  *Gets  `json:"answers"`
	Writes   *Bytes `json:"writes"`
	Upgrades *Head  `json:"upgrades"`
	Fails    bool   `json:"fails"`
	Gone     bool   `json:"gone"`
	Open     *int   `json:"open"`
	Most     *int   `json:"most"`
}

// Ask is a visitor's request. With Streams its content follows in steps.
type Ask struct {
	Method  string         `json:"method"`
	Target  string         `json:"target"`
	Headers []schema.Field `json:"headers"`
	Streams bool           `json:"streams"`
	Content
}

// Bytes is content that is sent or received in one step. Ends says that the content ends with it,
// and Cut that it breaks off.
type Bytes struct {
	Content
	Ends     bool           `json:"ends"`
	Cut      bool           `json:"cut"`
	Trailers []schema.Field `json:"trailers"`
}

// Head is the head of a message. Empty members are not compared.
type Head struct {
	Method  string         `json:"method"`
	Target  string         `json:"target"`
	Status  int            `json:"status"`
	Headers []schema.Field `json:"headers"`
	Absent  []string       `json:"absent"`
}

// Gets is a response. With More its content follows in steps.
type Gets struct {
	Status   int            `json:"status"`
	Headers  []schema.Field `json:"headers"`
	Absent   []string       `json:"absent"`
	More     bool           `json:"more"`
	Trailers []schema.Field `json:"trailers"`
	Content
}

// Apart is how some doors differ in cases of request.json and response.json, named with their file,
// as in "request/get".
type Apart struct {
	Cases []string `json:"cases"`
	Doors []string `json:"doors"`
	Why   string   `json:"why"`
	// Refused is the status of the visitor's answer if the program gets no request. Zero means that
	// it gets one.
	Refused int `json:"refused"`
	// Request and Received replace the target, and fields by name.
	Request  *Head `json:"request"`
	Received *Head `json:"received"`
}

// Doors returns doors.json.
func Doors() (f Family) {
	read("doors.json", &f)
	return f
}

// Through returns the steps of a case through a door.
func (t Talk) Through(door string) []Move {
	if o := t.otherwise(door); o != nil && o.Steps != nil {
		return o.Steps
	}
	return t.Steps
}

func (t Talk) otherwise(door string) *Otherwise {
	for i, o := range t.Otherwise {
		if slices.Contains(o.Doors, door) {
			return &t.Otherwise[i]
		}
	}
	return nil
}

// Through returns a case as a door carries it.
func (f Family) Through(d Door, e Exchange) (Exchange, Apart) {
	if !d.Envelope {
		e.Request.URL, e.Request.Base, e.Request.HTTPVersion, e.Request.RemoteAddr, e.Request.Attempt = nil, nil, nil, nil, nil
	}
	e.Request.Fetched = false // how content is fetched is specific to a door
	for _, a := range f.Apart {
		if !slices.Contains(a.Doors, d.Name) || !slices.Contains(a.Cases, e.File+"/"+e.Name) {
			continue
		}
		if a.Request != nil {
			if a.Request.Target != "" {
				e.Request.Target = &a.Request.Target
			}
			e.Request.Headers, e.Request.Absent = replace(e.Request.Headers, e.Request.Absent, a.Request)
		}
		if a.Received != nil {
			e.Received.Headers, e.Received.Absent = replace(e.Received.Headers, e.Received.Absent, a.Received)
		}
		return e, a
	}
	return e, Apart{}
}

// replace replaces the fields whose names are in by.
func replace(fields []schema.Field, absent []string, by *Head) ([]schema.Field, []string) {
	named := func(name string) bool {
		return slices.ContainsFunc(by.Headers, func(f schema.Field) bool { return strings.EqualFold(f[0], name) }) ||
			slices.ContainsFunc(by.Absent, func(one string) bool { return strings.EqualFold(one, name) })
	}
	fields = slices.DeleteFunc(slices.Clone(fields), func(f schema.Field) bool { return named(f[0]) })
	absent = slices.DeleteFunc(slices.Clone(absent), named)
	return append(fields, by.Headers...), append(absent, by.Absent...)
}

// Table returns the table of what each door carries, as Markdown. Its cells come from the cases:
// "yes" if a door passes all cases of a column unchanged.
func (f Family) Table() string {
	var notes []string
	var b strings.Builder
	b.WriteString("| door |")
	for _, c := range f.Columns {
		fmt.Fprintf(&b, " %s |", c.Title)
	}
	b.WriteString("\n|" + strings.Repeat(" --- |", len(f.Columns)+1) + "\n")
	for _, d := range f.Doors {
		fmt.Fprintf(&b, "| %s |", d.Title)
		for _, c := range f.Columns {
			says, why := f.cell(d.Name, c.Name)
			for _, note := range why {
				if !slices.Contains(notes, note) {
					notes = append(notes, note)
				}
				says += fmt.Sprintf(" (%d)", slices.Index(notes, note)+1)
			}
			fmt.Fprintf(&b, " %s |", says)
		}
		b.WriteString("\n")
	}
	b.WriteString("\n")
	for i, note := range notes {
		fmt.Fprintf(&b, "%d. %s\n", i+1, note)
	}
	return b.String()
}

// cell returns the cell of a door in a column: the first word other than "yes", and all notes.
func (f Family) cell(door, column string) (says string, notes []string) {
	says = "yes"
	for _, t := range f.Cases {
		o := t.otherwise(door)
		if t.Column != column || o == nil {
			continue
		}
		if says == "yes" && o.Says != "" {
			says = o.Says
		}
		if o.Note != "" && !slices.Contains(notes, o.Note) {
			notes = append(notes, o.Note)
		}
	}
	return says, notes
}
