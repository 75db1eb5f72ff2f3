package authorizedkeys

import (
	"encoding/base64"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"pi-key-tools/pkg/sshkey"
)

// A keyInText is a whole key of a known type somewhere in a text.
type keyInText struct {
	start int // of its type word, or of the base64 if there is none before it
	blob  int // where the base64 begins
	end   int // behind it
	typed bool
	key   sshkey.Public
}

const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

var base64Run = pattern(`AAAA[A-Za-z0-9+/]*={0,2}`)

// keysIn looks for keys in a text, in linear time.
func keysIn(text string) []keyInText {
	var all []keyInText
	for _, at := range base64Run().FindAllStringIndex(text, -1) {
		run := text[at[0]:at[1]]
		// The type word of a key that is glued to this one begins in the
		// alphabet of base64, and goes on with a '-' that is not in it.
		for _, cut := range []string{"", "ssh", "ecdsa", "sk", "rsa"} {
			if !strings.HasSuffix(run, cut) {
				continue
			}
			b64 := strings.TrimSuffix(run, cut)
			key, ok := wholeKey(b64)
			if !ok {
				continue
			}
			k := keyInText{start: at[0], blob: at[0], end: at[0] + len(b64), key: key}
			before := strings.TrimRight(text[:at[0]], " \t")
			if k.typed = strings.HasSuffix(before, key.Type); k.typed {
				k.start = len(before) - len(key.Type)
			}
			all = append(all, k)
			break
		}
	}
	return all
}

// wholeKey reads a base64 word, with or without the '=' at its end.
func wholeKey(b64 string) (sshkey.Public, bool) {
	blob, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(b64, "="))
	if err != nil {
		return sshkey.Public{}, false
	}
	key, err := sshkey.ParseBlob(blob, "")
	return key, err == nil && key.Bits() > 0
}

// unglue cuts a line before the type word of each key behind the first. It is
// not sure of that if what stands before one may be its options. A key in the
// value of an option, such as of command=, is none of the line's.
func unglue(line string) (pieces []string, sure bool) {
	first := 0 // where a key may begin
	options, rest, _ := cutOptions(strings.TrimLeft(line, " \t"))
	if _, err := parseOptions(options); err == nil {
		first = len(line) - len(rest)
	}
	keys := slices.DeleteFunc(keysIn(line), func(k keyInText) bool { return !k.typed || k.start < first })
	from := 0
	sure = true
	for i, k := range keys {
		if i == 0 {
			continue
		}
		sure = sure && !mayBeOptions(line[keys[i-1].end:k.start])
		pieces = append(pieces, line[from:k.start])
		from = k.start
	}
	return append(pieces, line[from:]), sure
}

// mayBeOptions reports whether a comment ends like options.
func mayBeOptions(comment string) bool {
	comment = strings.ToLower(strings.TrimRight(comment, " \t,"))
	if strings.ContainsAny(comment, `"=`) {
		return true
	}
	return slices.ContainsFunc(slices.Concat(flags, negatable), func(name string) bool { return strings.HasSuffix(comment, name) })
}

// Characters that look like nothing, and like a blank.
const (
	likeNothing = "\ufeff\u200b\u200c\u200d\u2060\u00ad\u200e\u200f\u202a\u202c"
	likeBlank   = "\u00a0\u2002\u2003\u2007\u2009\u202f\u3000\u2028\f\v"
)

// plainBlanks makes blanks of what looks so, but between quotes, where a
// command may want it.
func plainBlanks(s string) string {
	quoted := false
	before := ' '
	return strings.Map(func(r rune) rune {
		escaped := before == '\\'
		before = r
		switch {
		case r == '"':
			quoted = quoted != !escaped
		case quoted:
		case strings.ContainsRune(likeNothing, r):
			return -1
		case strings.ContainsRune(likeBlank, r):
			return ' '
		}
		return r
	}, s)
}

var dashes = strings.NewReplacer("\u2010", "-", "\u2011", "-", "\u2012", "-", "\u2013", "-", "\u2014", "-", "\u2212", "-")

// because names what was in the way of a fault, unless something before it was.
func (f *Fault) because(cause, why string) {
	if f.Cause == "" {
		f.Cause, f.Why = cause, why
	}
}

// mend makes an entry of a dead line, if there is but one way to. The fault
// names what was in the way; its Cause is "" if there is no such way.
func mend(line string) (text string, f Fault) {
	text = strings.Trim(line, " \t\r")
	keys := keysIn(text)
	if len(keys) == 0 || !utf8.ValidString(text) {
		return "", Fault{}
	}
	tail := f.plainGap(text[keys[0].end:])
	head := f.plainHead(text[:keys[0].end])
	text = strings.Trim(head+tail, " \t")
	if plain := unquote(text); plain != text {
		f.because("entry-quoted", "quotes, or words of a shell command or an e-mail, around the entry")
		text = plain
	}
	if e, ok := ParseLine([]byte(text)); !ok {
		return "", Fault{} // a comment
	} else if e.Dead == "" && f.Cause != "" {
		return rewritten(text, e), f
	}

	if keys = keysIn(text); len(keys) != 1 {
		return "", Fault{}
	}
	k := keys[0]
	comment := f.afterKey(text[k.end:])
	if comment != "" && comment[0] != ' ' && comment[0] != '\t' {
		return "", Fault{}
	}
	options := f.beforeKey(text[:k.blob], k.key.Type)
	if k.key.Base64() != text[k.blob:k.end] {
		f.because("entry-truncated", "the key lacks the = at its end")
	}
	// With straight ones beside them, they may be part of a value.
	if plain := straight.Replace(options); plain != options && !strings.Contains(options, `"`) {
		f.because("entry-quoted", "quotes that are not \" around the values of options")
		options = plain
	}
	k.key.Comment = strings.Trim(comment, " \t\r")
	return canonical(options, k.key), f
}

// plainGap makes a blank of what looks so between a key and its comment, which
// keeps what it has.
func (f *Fault) plainGap(comment string) string {
	odd := strings.TrimLeft(comment, " \t"+likeNothing+likeBlank)
	if odd == strings.TrimLeft(comment, " \t") {
		return comment
	}
	f.because("entry-encoding", "a character between the key and its comment that looks like a blank or is invisible")
	return " " + odd
}

// plainHead makes blanks of what looks so in a line up to the end of its key.
func (f *Fault) plainHead(head string) string {
	plain := plainBlanks(head)
	switch {
	case plain == head:
	case strings.HasPrefix(head, "\ufeff"):
		f.because("entry-encoding", "a byte order mark before the entry")
	default:
		f.because("entry-encoding", "a character that looks like a blank or is invisible")
	}
	return plain
}

// afterKey returns the comment in what is behind a key, without what closes a
// list or a string of another program there.
func (f *Fault) afterKey(behind string) string {
	end := strings.TrimLeft(behind, "\"'`,;\u201c\u201d\u2018\u2019")
	end, _ = strings.CutPrefix(end, `\r`)
	end, _ = strings.CutPrefix(end, `\n`)
	if len(end) == len(behind) || end != "" && end[0] != ' ' && end[0] != '\t' {
		return behind
	}
	f.because("entry-quoted", "something after the key that is not part of it")
	return end
}

// beforeKey returns the options in what is before the base64 of a key of that
// type, without its type word, right or wrong.
func (f *Fault) beforeKey(before, keyType string) string {
	before = strings.TrimRight(before, " \t")
	i := strings.LastIndexAny(before, " \t") + 1
	options, word := before[:i], before[i:]
	switch plain := strings.ToLower(dashes.Replace(word)); {
	case sshkey.KeyType(word) == keyType:
	case isType(plain), len(word) >= 2 && strings.HasSuffix(keyType, plain):
		f.because("entry-type-mismatch", "the first word is not the key's type, which is "+keyType)
	default:
		f.because("entry-type-mismatch", "a key without its type word, "+keyType)
		options = before
	}
	return strings.Trim(options, " \t")
}

var straight = strings.NewReplacer("\u201c", `"`, "\u201d", `"`, "\u201e", `"`)

// rewritten writes a live entry as every server reads it.
func rewritten(text string, e Entry) string {
	options := ""
	if len(e.Options) > 0 {
		options, _, _ = cutOptions(strings.TrimLeft(text, " \t"))
	}
	return canonical(options, e.Key)
}

// quotes are what people put around a line, by the first character.
var quotes = map[string]string{`"`: `"`, "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u201e": "\u201c"}

var shellEcho = pattern(`^(?:\$ )?(?:sudo )?(?:echo|printf '%s\\n')[ \t]+`)

// unquote takes from a line what a mail or a shell has around it.
func unquote(text string) string {
	for strings.HasPrefix(text, ">") {
		text = strings.TrimLeft(text[1:], " \t")
	}
	echo := shellEcho().FindString(text)
	text = text[len(echo):]
	for open, shut := range quotes {
		inner, ok := strings.CutPrefix(text, open)
		if !ok {
			continue
		}
		if i := strings.LastIndex(inner, shut); i >= 0 {
			behind := strings.TrimLeft(inner[i+len(shut):], " \t,;")
			if behind == "" || echo != "" && strings.ContainsAny(behind[:1], ">|") {
				return strings.Trim(inner[:i], " \t")
			}
		}
		return strings.Trim(inner, " \t")
	}
	if i := strings.Index(text, " >"); echo != "" && i >= 0 {
		text = strings.TrimRight(text[:i], " \t")
	}
	return text
}

// isType reports whether a word is the name of a key's type that OpenSSH knows
// or knew, whatever key follows it.
func isType(word string) bool { return typeWord().MatchString(word) }

var typeWord = pattern(`^(?:ssh-(?:rsa|dss|dsa|ed25519)|ecdsa-sha2-nistp(?:256|384|521)|rsa-sha2-(?:256|512)|` +
	`sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com|ssh-mldsa44-ed25519@openssh\.com)$`)

// pattern is compiled when it is first asked for: most runs of the programs see
// no keys file, and start sooner.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// cutWord returns the first word, and what follows it without blanks at its
// start.
func cutWord(s string) (word, rest string) {
	s = strings.TrimLeft(s, " \t")
	i := strings.IndexAny(s, " \t")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimLeft(s[i:], " \t")
}

func firstWord(s string) string {
	word, _ := cutWord(s)
	return word
}
