package envelope

// Said is a message of a program on a link that answers nothing: a hello, an ack, a pong or a watch.
type Said struct {
	// Type is as the program has it.
	Type string
	// Token is that of a hello; empty where there is none.
	Token string
	// Cursor is the cursor; nil where there is none.
	Cursor *string
	// Change is what a watch goes on after; empty where there is none.
	Change string
}

// DecodeSaid reads one. The error is as that of [DecodeAnswers].
func DecodeSaid(content []byte) (s Said, err error) {
	if err := CheckShape(content); err != nil {
		return s, err
	}
	r := newReader(content, true)
	defer r.done()
	if r.peek() != '{' {
		return s, r.malformed(ErrMessage)
	}
	err = r.members(func(name []byte) error {
		switch string(name) {
		case "type":
			return r.setString(&s.Type)
		case "token":
			return r.setString(&s.Token)
		case "change":
			return r.setString(&s.Change)
		case "cursor":
			if r.peek() == 'n' {
				return r.word("null")
			}
			s.Cursor = new(string)
			return r.setString(s.Cursor)
		}
		return r.skip()
	})
	if err == nil {
		err = r.end()
	}
	if err == nil && r.place.fault != nil {
		err = r.place.fault
	}
	return s, err
}
