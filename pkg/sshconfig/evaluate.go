package sshconfig

import (
	"fmt"
	"slices"
	"strings"

	"pi-key-tools/pkg/pattern"
)

// The most entries that ssh holds (ssh.h, readconf.h).
const (
	maxIdentityFiles = 100 // and certificate files
	maxHostFiles     = 32
)

// An evaluation is what has been decided for one target so far: the Options of
// readconf.h.
type evaluation struct {
	r     *Resolver
	local local
	alias string // as given
	host  string // that Host and Match look at; the real name in the final pass
	final bool   // files are read a second time, for Match final

	values    map[string]value // by keyword.name
	added     map[string]bool  // files of kind takesPath, with where they come from
	twice     map[string]bool  // see Host.SetTwice; nil for none
	jump      *jump            // of ProxyJump; nil for none
	wantFinal bool
	asked     bool     // the values are ssh's own, most of them expanded
	unsure    []string // why ssh should be asked
}

// A value is what the first line that sets a keyword says, or each line where
// every one counts. Its slices are never appended to in place: they may be
// those of a directive, which other targets share.
type value struct {
	args []string
	at   []string // one place for all args, or one for each; nil if unknown
}

// place says where args[i] comes from; "" if unknown.
func (v value) place(i int) string {
	if len(v.at) == 0 {
		return ""
	}
	return v.at[min(i, len(v.at)-1)]
}

func (e *evaluation) has(name string) bool { return e.values[name].args != nil }

// get returns the only argument of a keyword, or what holds without it.
func (e *evaluation) get(name, otherwise string) string {
	if v := e.values[name]; len(v.args) > 0 {
		return v.args[0]
	}
	return otherwise
}

// setFirst sets a keyword unless it has been set.
func (e *evaluation) setFirst(name string, args []string, at string) {
	if e.has(name) || args == nil {
		return
	}
	e.values[name] = value{args, []string{at}}
	if e.r.Trace != nil && keywords()[name].decides {
		e.r.Trace("%s: %s %s (%s)", e.alias, name, strings.Join(args, " "), at)
	}
}

func (e *evaluation) setTwice(name string) {
	if e.twice == nil {
		e.twice = make(map[string]bool)
	}
	e.twice[name] = true
}

func (e *evaluation) setJump(j *jump, at string) {
	if e.has("proxycommand") || e.has("proxyjump") {
		return
	}
	e.jump = j
	text := "none"
	if j != nil {
		text = j.String()
	}
	e.setFirst("proxyjump", []string{text}, at)
}

// run reads the files as ssh.c main() does: once, and once more with the real
// name when Match final asks for it.
func (e *evaluation) run(files []*file) error {
	if err := e.pass(files); err != nil {
		return err
	}
	if e.get("canonicalizehostname", "no") != "no" {
		e.unsure = append(e.unsure, e.values["canonicalizehostname"].place(0)+": CanonicalizeHostname")
	}
	if user := e.values["user"]; user.place(0) != commandLine && strings.ContainsAny(e.get("user", ""), "%$") {
		e.unsure = append(e.unsure, user.place(0)+": User with tokens, which some versions of ssh expand")
	}
	name, err := e.realName()
	if err != nil {
		return err
	}
	if address, ok := canonicalAddress(name, e.get("addressfamily", "any")); ok {
		name = address
	} else {
		name = pattern.Lower(name)
	}
	e.values["hostname"] = value{[]string{name}, e.values["hostname"].at}
	e.host = name
	if !e.wantFinal {
		return nil
	}
	e.final = true
	return e.pass(files)
}

// realName is HostName with its tokens expanded, or the host as given.
func (e *evaluation) realName() (string, error) {
	v := e.values["hostname"]
	if e.final || v.args == nil {
		return e.host, nil
	}
	name, err := expandTokens(v.args[0], map[byte]string{'h': e.host})
	if err != nil {
		return "", &SyntaxError{At: v.place(0), Reason: "hostname: " + err.Error()}
	}
	return name, nil
}

func (e *evaluation) pass(files []*file) error {
	for _, f := range files {
		if err := e.file(f, true, false); err != nil {
			return err
		}
	}
	return nil
}

// file goes through one file, readconf.c read_config_file_depth(). Inside an
// Include that is not active no line is, but each is still checked.
func (e *evaluation) file(f *file, active, never bool) error {
	for _, d := range f.lines {
		if d.err != nil {
			return d.err
		}
		if d.keyword == nil {
			if pattern.MatchList(d.word, pattern.Lower(e.get("ignoreunknown", ""))) == pattern.Matched {
				continue
			}
			return &SyntaxError{At: d.at, Reason: "bad configuration option: " + d.word}
		}
		var err error
		switch d.keyword.kind {
		case isHost:
			active = !never && e.matchesHost(d.args)
		case isMatch:
			active, err = e.matches(d, never)
		case isInclude:
			if active && d.unsure != "" {
				e.unsure = append(e.unsure, d.at+": "+d.unsure)
			}
			for _, included := range d.include {
				if err = e.file(included, active, never || !active); err != nil {
					break
				}
			}
		case takesPath:
			err = e.add(d, active, f.user)
		default:
			err = e.set(d, active)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// matchesHost is the Host line of readconf.c. Case matters.
func (e *evaluation) matchesHost(patterns []string) bool {
	found := false
	for _, p := range patterns {
		p, negated := strings.CutPrefix(p, "!")
		if pattern.Match(e.host, p) {
			if negated {
				return false
			}
			found = true
		}
	}
	return found
}

// matches is readconf.c match_cfg_line(). What only ssh can tell counts as not
// matching.
func (e *evaluation) matches(d *directive, never bool) (bool, error) {
	host, err := e.realName()
	if err != nil {
		return false, err
	}
	result := true
	for _, c := range d.criteria {
		var holds bool
		why := ""
		switch c.name {
		case "all":
			holds = true
		case "canonical":
			holds = e.final
		case "final":
			holds = e.final
			e.wantFinal = true
			if c.negate && !e.final {
				why = "Match !final, which makes some versions of ssh read the files twice"
			}
		case "host":
			holds = pattern.MatchList(pattern.Lower(host), pattern.Lower(c.arg)) == pattern.Matched
		case "originalhost":
			holds = pattern.MatchList(pattern.Lower(e.alias), pattern.Lower(c.arg)) == pattern.Matched
		case "user":
			holds = pattern.MatchList(e.get("user", e.local.user), c.arg) == pattern.Matched
		case "localuser":
			holds = pattern.MatchList(e.local.user, c.arg) == pattern.Matched
		default:
			why = "Match " + c.name
		}
		if why == "" && strings.ContainsAny(c.arg, `'\`) {
			why = "quotes in Match, which versions of ssh take differently"
		}
		if why != "" && result && !never {
			e.unsure = append(e.unsure, d.at+": "+why)
			result = false
		}
		if holds == c.negate {
			result = false
		}
	}
	return result && !never, nil
}

// add is IdentityFile and CertificateFile, of which every one counts.
func (e *evaluation) add(d *directive, active, user bool) error {
	if !active {
		return nil
	}
	name, path := d.keyword.name, d.args[0]
	v := e.values[name]
	if len(v.args) >= maxIdentityFiles {
		return &SyntaxError{At: d.at, Reason: fmt.Sprintf("too many %s entries (at most %d)", d.word, maxIdentityFiles)}
	}
	// ssh keeps one that the user's file and the system's both name twice.
	key := fmt.Sprint(name, user, path)
	if e.added[key] {
		return nil
	}
	if e.added == nil {
		e.added = make(map[string]bool)
	}
	e.added[key] = true
	if v.args == nil {
		e.setFirst(name, d.args, d.at)
		return nil
	}
	e.values[name] = value{append(slices.Clip(v.args), path), append(slices.Clip(v.at), d.at)}
	e.r.trace("%s: %s %s (%s)", e.alias, name, path, d.at)
	return nil
}

// set is every other line that sets something.
func (e *evaluation) set(d *directive, active bool) error {
	k := d.keyword
	refuse := func(reason string) error { return &SyntaxError{At: d.at, Reason: d.word + ": " + reason} }
	if k.kind == takesAgent {
		if _, err := expandVariables(d.args[0], e.r.getenv); err != nil {
			return refuse(err.Error())
		}
		if name, ok := strings.CutPrefix(d.args[0], "$"); ok && !strings.HasPrefix(name, "{") && !validVariable(name) {
			return refuse("invalid environment variable " + d.args[0])
		}
	}
	if !active || e.has(k.name) {
		if active && e.values[k.name].place(0) == commandLineOption {
			e.setTwice(k.name)
		}
		return nil
	}
	if d.unsure != "" {
		e.unsure = append(e.unsure, d.at+": "+d.unsure)
	}
	switch {
	case k.kind == takesJump:
		e.setJump(d.jump, d.at)
		return nil
	case k.kind == isRefusal:
		return refuse(d.args[0])
	case k.kind == takesDuration && d.args[0] == "none":
		return nil // as if it were not there: a later line may still set it
	case k.kind == takesPaths && len(d.args) > maxHostFiles:
		return refuse(fmt.Sprintf("too many entries (at most %d)", maxHostFiles))
	case k.name == "proxycommand" && e.has("proxyjump"):
		if e.jump != nil {
			return nil
		}
		// Before 10.3 "ProxyJump none" kept a later ProxyCommand out, too, but
		// not where distributions have patched it.
		e.unsure = append(e.unsure, d.at+": ProxyCommand after ProxyJump none, which versions of ssh take differently")
	}
	e.setFirst(k.name, d.args, d.at)
	if overlooked[k.name] && len(d.args) > 0 && !isNone(d.args[0]) {
		e.r.traceOnce("%s: %s has no effect here", d.at, k.name)
	}
	return nil
}

// overlooked are keywords that change how ssh reaches or trusts a machine, and
// that nothing here honours.
var overlooked = map[string]bool{
	"casignaturealgorithms": true, "pkcs11provider": true,
}

func validVariable(name string) bool {
	return name != "" && strings.Trim(pattern.Lower(name), letters+"0123456789_") == ""
}
