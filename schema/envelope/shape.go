package envelope

import "bytes"

// CheckShape returns [ErrDepth] or [ErrMembers] for JSON beyond the bounds, and nil otherwise. It
// does not check anything else; a decoder finds malformed JSON. It allocates nothing.
func CheckShape(content []byte) error {
	var members [MostDepth + 1]int // of the open objects
	depth := 0
	for len(content) > 0 {
		c := content[0]
		content = content[1:]
		switch c {
		case '"':
			content = afterString(content)
		case '{', '[':
			if depth++; depth > MostDepth {
				return ErrDepth
			}
			members[depth] = 0
		case '}', ']':
			depth = max(depth-1, 0)
		case ':':
			if members[depth]++; members[depth] > MostMembers {
				return ErrMembers
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
