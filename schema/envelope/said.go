package envelope

// Said is a message of a program on a link other than an answer: a hello, an ack, a pong or a
// watch.
type Said struct {
	// Type is the type that the program sent.
	Type string
	// Token is the token of a hello. It is empty if there is none.
	Token string
	// Cursor is the cursor, or nil if there is none.
	Cursor *string
	// Change is the state after which a watch continues. It is empty if there is none.
	Change string
}

// DecodeSaid decodes such a message. The error is one of [DecodeAnswers].
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
