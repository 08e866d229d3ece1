package gateway

import (
	"bytes"
	"fmt"

	"reversehttp/schema"
)

// Bounds of the JSON that programs send. Decoded it is many times its size, so what has more is
// refused before anything of it is decoded; nothing that anybody means has.
const (
	mostDepth   = 16  // objects and lists in each other
	mostMembers = 512 // of one object
)

// misshapen refuses JSON beyond those bounds. It looks at nothing else: what is malformed is
// for the decoder to tell.
func misshapen(content []byte) *problem {
	var members [mostDepth + 1]int // of the objects that are open
	depth := 0
	for len(content) > 0 {
		i := bytes.IndexAny(content, `"{[:]}`)
		if i < 0 {
			return nil
		}
		c := content[i]
		content = content[i+1:]
		switch c {
		case '"':
			content = afterString(content)
		case '{', '[':
			if depth++; depth > mostDepth {
				return tooComplex("Objects and lists are in each other more than %d deep.", mostDepth)
			}
			members[depth] = 0
		case '}', ']':
			depth = max(depth-1, 0)
		case ':':
			if members[depth]++; members[depth] > mostMembers {
				return tooComplex("An object has more than %d members.", mostMembers)
			}
		}
	}
	return nil
}

// afterString returns what follows the end of a string.
func afterString(content []byte) []byte {
	for {
		i := bytes.IndexByte(content, '"')
		if i < 0 {
			return nil
		}
		escapes := 0
		for escapes < i && content[i-1-escapes] == '\\' {
			escapes++
		}
		content = content[i+1:]
		if escapes%2 == 0 {
			return content
		}
	}
}

func tooComplex(detail string, bound int) *problem {
	return &problem{code: schema.CodeBadJSON, detail: "The content is not as expected: " + fmt.Sprintf(detail, bound)}
}
