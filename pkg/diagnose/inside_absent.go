package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// elsewhere tells that the server reads other files than the one that holds
// the key.
func (in *inside) elsewhere(files []string, stray, unless string) {
	if in.server.IsDropbear() {
		in.find(unless, "keys-file-elsewhere", files[0], in.put("pikeycopy -i - -t "+sh.QuoteLine(files[0])),
			"dropbear reads %s, but the key was put in %s", files[0], stray)
		return
	}
	if in.config == nil {
		in.find(unless, "keys-file-elsewhere", files[0], in.put("pikeycopy -i -"), "the key is in %s, and %s does not hold it", stray, files[0])
		return
	}
	_, s := in.config.KeysFiles(in.account.Home, in.account.UID)
	command, commands := in.config.Named("AuthorizedKeysCommand")
	switch {
	case len(files) == 0 && commands:
		in.find(in.unless(command.Keyword), "keys-command", command.At(),
			fmt.Sprintf("add the key where %s looks it up\nhint: or let sshd read files too: %s", command.Args[0], withoutLine(s)),
			"%s is none (%s), and the keys come from %s %s", keysFileKeyword, s.At(), command.Keyword, strings.Join(command.Args, " "))
	case len(files) == 0:
		in.find(unless, "keys-file-elsewhere", s.At(), withoutLine(s), "%s is none: no file is read", keysFileKeyword)
	default:
		where, subject := "by default", files[0]
		if s.Args != nil {
			where, subject = fmt.Sprintf("%s %s at %s", keysFileKeyword, strings.Join(s.Args, " "), s.At()), s.At()
		}
		detail := fmt.Sprintf("the server reads %s (%s), but the key was put in %s", strings.Join(files, ", "), where, stray)
		if slices.ContainsFunc(s.Args, func(a string) bool { return strings.HasPrefix(a, "~") }) {
			detail += "; sshd takes ~ for root's home, and %h for the user's"
		}
		in.find(unless, "keys-file-elsewhere", subject, in.putThere(files[0], s), "%s%s", detail, in.asksToo())
	}
}

func (in *inside) asksToo() string {
	if _, ok := in.config.Named("AuthorizedKeysCommand"); ok {
		return "; it asks AuthorizedKeysCommand too"
	}
	return ""
}

// put is the command line that hands the key to pikeycopy.
func (in *inside) put(program string) string {
	return fmt.Sprintf("echo %s | %s", sh.QuoteLine(in.spokenOf()[0].Line()), in.again(program))
}

// putThere is how the key gets into a file that a setting names: by ourselves
// in the home; by root where it is the account's alone. A file for several
// accounts would let the key in to all of them, so that the setting must change.
func (in *inside) putThere(file string, s sshdconfig.Setting) string {
	own := slices.ContainsFunc(s.Args, func(a string) bool { return strings.Contains(a, "%u") || strings.Contains(a, "%U") })
	switch {
	case strings.HasPrefix(file, in.account.Home+"/"):
		return in.put("pikeycopy -i - -t " + sh.QuoteLine(file))
	case own:
		return fmt.Sprintf("there: sudo mkdir -p %s && printf '\\n%%s\\n' %s | sudo tee -a %s", sh.QuoteLine(path.Dir(file)), sh.QuoteLine(in.spokenOf()[0].Line()), sh.QuoteLine(file))
	}
	return withoutLine(s)
}

// absent tells why no line of the files holds a key.
func (in *inside) absent(ctx context.Context, files []string, findings []strictmodes.Finding, unless string) error {
	explained := slices.ContainsFunc(findings, func(f strictmodes.Finding) bool {
		return f.Cause == "keys-symlink" || strings.HasPrefix(f.Cause, "home-") && f.Cause != "home-writable"
	})
	for _, file := range files {
		if _, read := in.held[file]; !read {
			explained = in.notRead(ctx, file) || explained
			continue
		}
		broken, err := in.brokenLine(ctx, file)
		if err != nil {
			return err
		}
		explained = explained || broken
	}
	if explained {
		return nil
	}
	detail := "no line of " + strings.Join(files, " or ") + " holds the key"
	if len(in.keys) > 1 {
		detail = fmt.Sprintf("no line of %s holds any of the %d keys", strings.Join(files, " or "), len(in.keys))
	}
	in.find(unless, "key-not-installed", files[0], in.put("pikeycopy -i -"), "%s%s%s", detail, in.asksToo(), in.forgets(ctx))
	return nil
}

// notRead tells that a file could not be read, and reports whether that is so: it
// may be missing.
func (in *inside) notRead(ctx context.Context, file string) bool {
	_, _, err := strictmodes.RealPath(ctx, in.tree, file)
	if errors.Is(err, fs.ErrNotExist) || strings.ContainsAny(file, "*?[") {
		return false
	}
	in.remains = append(in.remains, fmt.Sprintf("what is in %s, which %s may not read", file, in.account.Name))
	return true
}

// brokenLine tells the faults of a file that can be those of a key's line, and
// reports whether one of them is enough to explain that the line is not found.
func (in *inside) brokenLine(ctx context.Context, file string) (enough bool, err error) {
	data, err := in.tree.ReadFile(ctx, file)
	if errors.Is(err, fs.ErrNotExist) { // meanwhile
		return false, nil
	} else if err != nil {
		return false, err
	}
	lives := slices.ContainsFunc(authorizedkeys.Entries(data), func(e authorizedkeys.Entry) bool { return e.Dead == "" })
	for _, f := range authorizedkeys.Faults(data) {
		switch in.belongs(f, data) {
		case ours:
			enough = true
			in.fault(file, f, "")
		case perhaps:
			enough = enough || !lives
			in.fault(file, f, "it is another key")
		}
	}
	return enough, nil
}

// forgets tells of a home whose changes are gone after a reboot: so a key may
// have been put there before.
func (in *inside) forgets(ctx context.Context) string {
	tree, ok := in.tree.(strictmodes.Examiner)
	if !ok {
		return ""
	}
	if a, err := tree.Attributes(ctx, in.account.Home); err != nil || a.FS != "overlay" {
		return ""
	}
	return "; home is on an overlay, which may lose at a reboot what is written there (raspi-config disables it)"
}

// A belonging says whether a fault of a file keeps one of our keys out.
type belonging int

const (
	foreign belonging = iota
	perhaps
	ours
)

// blobs finds what looks like a key, or the beginning of one.
var blobs = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`(?:^|[\s"',])(AAAA[A-Za-z0-9+/]*)`) })

func (in *inside) belongs(f authorizedkeys.Fault, data []byte) belonging {
	if len(f.Keys) > 0 {
		if slices.ContainsFunc(in.keys, func(k sshkey.Public) bool { return slices.ContainsFunc(f.Keys, k.Equal) }) {
			return ours
		}
		return foreign
	}
	lines := strings.Split(string(data), "\n")[f.First-1 : f.Last]
	found := blobs().FindAllStringSubmatch(strings.Join(lines, "\n"), -1)
	if len(found) == 0 {
		return perhaps
	}
	for _, key := range in.keys {
		whole := key.Base64()
		for _, m := range found {
			n := 0
			for n < min(len(m[1]), len(whole)) && m[1][n] == whole[n] {
				n++
			}
			switch {
			case n >= len(whole)/2: // well past what all keys of a type begin with
				return ours
			case n == len(m[1]):
				return perhaps
			}
		}
	}
	return foreign
}
