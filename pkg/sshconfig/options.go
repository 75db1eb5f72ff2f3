package sshconfig

import (
	"fmt"
	"strings"

	"pi-key-tools/pkg/pattern"
)

// harmless are the keywords that do not decide anything in Host and are
// taken on the command line all the same, because passing them by makes no
// difference to these commands: those of sessions and of what is printed, and
// the rest only with the value that is the only one we act by.
var harmless = map[string]string{
	"clearallforwardings":     "",
	"compression":             "",
	"escapechar":              "",
	"exitonforwardfailure":    "",
	"loglevel":                "",
	"requesttty":              "",
	"serveralivecountmax":     "",
	"serveraliveinterval":     "",
	"stdinnull":               "",
	"tcpkeepalive":            "",
	"visualhostkey":           "",
	"addkeystoagent":          "no",
	"checkhostip":             "no",
	"controlmaster":           "no",
	"controlpath":             "none",
	"controlpersist":          "no",
	"forwardagent":            "no",
	"forwardx11":              "no",
	"forwardx11trusted":       "no",
	"gssapiauthentication":    "no",
	"hostbasedauthentication": "no",
	"permitlocalcommand":      "no",
	"tunnel":                  "no",
	"updatehostkeys":          "no",
	"verifyhostkeydns":        "no",
}

// OptionKeyword returns the keyword that an -o sets, in lower case and by its
// current name; "" if there is none.
func OptionKeyword(option string) string {
	d := parseOption(option)
	if d == nil || d.keyword == nil {
		return ""
	}
	return d.keyword.name
}

// Identity returns the option that names a key file as -i of ssh(1) does.
func Identity(file string) string {
	if strings.ContainsAny(file, " \t\"'\\%#") {
		file = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `%`, `%%`).Replace(file) + `"`
	}
	return "IdentityFile=" + file
}

// CheckOption returns what is wrong with an -o KEY=VALUE (or "KEY VALUE"): a
// key that ssh does not know or these commands do not honour, or a value that
// ssh would refuse, is an error rather than ignored.
func CheckOption(option string) error {
	d := parseOption(option)
	switch {
	case d == nil:
		return nil // as ssh -o ""
	case d.err != nil:
		return d.err
	case d.keyword == nil:
		return &SyntaxError{At: d.at, Reason: "bad configuration option: " + d.word}
	case d.keyword.kind == isHost || d.keyword.kind == isMatch || d.keyword.kind == isInclude:
		return &SyntaxError{At: d.at, Reason: d.word + " cannot be given on the command line"}
	case d.keyword.name == "proxyusefdpass" && d.args[0] == "yes":
		return &SyntaxError{At: d.at, Reason: errFdpass.Error()}
	case d.keyword.kind == takesAlgorithms && d.unsure != "":
		return &SyntaxError{At: d.at, Reason: fmt.Sprintf("%s: unknown algorithm in %q", d.word, d.args[0])}
	case d.keyword.decides:
		return nil
	}
	needed, ok := harmless[d.keyword.name]
	if !ok {
		return &SyntaxError{At: d.at, Reason: d.word + " is not honoured here"}
	}
	if len(d.args) != 1 || d.args[0] == "" {
		return &SyntaxError{At: d.at, Reason: fmt.Sprintf("%s: %s", d.word, errMissing)}
	}
	if value := pattern.Lower(d.args[0]); needed != "" && value != needed && yesNo[value] != needed {
		return &SyntaxError{At: d.at, Reason: fmt.Sprintf("%s is not honoured here, but for %q", d.word, needed)}
	}
	return nil
}
