// Package confline splits a line of ssh_config or sshd_config into its
// arguments, as both programs do in misc.c argv_split(). How a line begins, and
// what its keyword does with the words, differs and is left to the caller.
package confline

import "strings"

// Split returns the words of s, which is what follows the keyword. Only spaces
// and TABs end a word: a carriage return or a form feed is part of one. Quotes,
// single and double, may occur anywhere in a word and are removed; \" \' \\
// and, outside quotes, "\ " stand for what follows the backslash, and any other
// backslash stands for itself. A '#' where a word would begin ends the line.
//
// A word may be empty (""), which ssh accepts for some keywords and sshd for
// none. ok is false if a quote is not closed.
func Split(s string) (words []string, ok bool) { return split(s, true) }

// Command is Split for the command in a line, where '#' is part of a word.
func Command(s string) (words []string, ok bool) { return split(s, false) }

func split(s string, comments bool) (words []string, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] == ' ' || s[i] == '\t' {
			continue
		}
		if comments && s[i] == '#' {
			break
		}
		var word []byte
		var quote byte
	word:
		for ; i < len(s); i++ {
			switch c := s[i]; {
			case c == '\\' && i+1 < len(s) &&
				(strings.IndexByte(`'"\`, s[i+1]) >= 0 || quote == 0 && s[i+1] == ' '):
				i++
				word = append(word, s[i])
			case quote == 0 && (c == ' ' || c == '\t'):
				break word
			case quote == 0 && (c == '"' || c == '\''):
				quote = c
			case quote != 0 && c == quote:
				quote = 0
			default:
				word = append(word, c)
			}
		}
		if quote != 0 {
			return nil, false
		}
		words = append(words, string(word))
	}
	return words, true
}
