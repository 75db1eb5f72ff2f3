package repair

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sh"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/sshkey"
	"pi-key-tools/pkg/strictmodes"
)

// forbidden says what keeps the account out whatever the modes of its files, and what
// may, in words.
func (j *Job) forbidden(ctx context.Context, fsys hostfs.FS, rules *serverRules, who strictmodes.Account, keysFiles []string) (records []record.Record, doubt string) {
	config := rules.config(who)
	chroot := config.MayName("ChrootDirectory") // where the shell is another
	if _, st, err := strictmodes.RealPath(ctx, fsys, who.Shell); who.Shell != "" && !chroot &&
		(j.missing(ctx, fsys, who.Shell, err) || err == nil && (!st.Mode.IsRegular() || st.Mode&0o111 == 0)) {
		hint := "chsh -s /bin/sh " + sh.QuoteLine(who.Name)
		if me, err := fsys.Account(ctx); err != nil || me.UID != 0 {
			hint = "sudo " + hint
		}
		if j.Root != "" {
			hint = "name a shell that is there, such as /bin/sh, in " + sh.QuoteLine(j.Root+"/etc/passwd")
		}
		records = append(records, record.Record{Verdict: record.Fail, Cause: "shell-missing", Subject: who.Shell,
			Detail: "the login shell of " + who.Name + " does not exist, or cannot be executed", Hint: hint})
	}
	doubt = diagnose.Doubt(config, who)
	if config == nil || len(config.Unread) > 0 {
		return records, doubt
	}
	keys := sync.OnceValues(func() ([]authorizedkeys.Entry, bool) { return j.keys(ctx, fsys, who, keysFiles) })
	list := diagnose.Forbids(config, who, keys)
	revoked, unread := j.revoked(ctx, fsys, rules, config, keys)
	if doubt == "" && unread != "" {
		doubt = unread + " cannot be read, and may keep it out"
	}
	for _, f := range append(list, revoked...) {
		r := f.Record(j.Root)
		r.Hint = j.at + r.Hint
		records = append(records, r)
	}
	return append(records, j.elsewhere(ctx, fsys, config, who, keysFiles, keys)...), doubt
}

// locked says whether shadow(5) keeps the account out, where it can be read: its
// expiry for PAM (pam_unix(8)) as for sshd, its lock for an sshd that does without PAM
// (platform.c platform_locked_account()), which does not start without a configuration.
func (j *Job) locked(ctx context.Context, fsys hostfs.FS, rules *serverRules, who strictmodes.Account) []record.Record {
	config := rules.config(who)
	if config == nil || len(config.Unread) > 0 {
		return nil
	}
	shadow, err := fsys.ReadFile(ctx, "/etc/shadow")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(shadow)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) < 8 || f[0] != who.Name {
			continue
		}
		const day = 24 * 60 * 60
		last, err := strconv.ParseInt(f[7], 10, 32)
		today, pam := time.Now().Unix()/day, config.Is("UsePAM", "yes")
		r := record.Record{Verdict: record.Fail, Subject: who.Name}
		switch {
		case err == nil && last >= 0 && (today > last || today == last && pam): // to PAM, it ends as that day begins
			r.Cause, r.Detail, r.Hint = "account-expired", "shadow(5) says that it expired on "+time.Unix(last*day, 0).UTC().Format(time.DateOnly), "chage -E -1 "
			if j.Root != "" {
				r.Detail += ", by the clock here"
			}
		case strings.HasPrefix(f[1], "!") && len(rules.files[rules.serving.Main]) > 0 && !pam:
			r.Cause, r.Detail, r.Hint = "account-locked", "UsePAM is not on, and shadow(5) says that the password is locked", "usermod -p '*' "
		default:
			return nil
		}
		if r.Hint = "sudo " + r.Hint; j.Root != "" {
			r.Hint += "-R " + sh.QuoteLine(j.Root) + " "
		}
		r.Hint += sh.QuoteLine(who.Name)
		return []record.Record{r}
	}
	return nil
}

// revoked says by which lists every key is revoked: because of what is in one, or since
// it is no list. unread is one that cannot be looked at here.
func (j *Job) revoked(ctx context.Context, fsys hostfs.FS, rules *serverRules, config *sshdconfig.Config, held func() ([]authorizedkeys.Entry, bool)) (list []diagnose.Forbidden, unread string) {
	lists, s := config.RevokedKeys()
	if len(config.Possible("RevokedKeys")) > 0 {
		return nil, ""
	}
	for _, name := range lists {
		_, st, err := strictmodes.RealPath(ctx, fsys, name)
		if j.missing(ctx, fsys, name, err) || err == nil && st.Mode.IsDir() {
			list = append(list, diagnose.Forbidden{Cause: "key-revoked", Setting: s, Detail: "RevokedKeys names " + name + ", which is no file: every key is taken for revoked"})
			continue
		}
		data, err := fsys.ReadFile(ctx, name)
		if err != nil || bytes.HasPrefix(data, []byte("SSHKRL\n\x00")) {
			unread = name
			continue
		}
		keys, bad := plainKeys(data, rules.ten())
		if bad > 0 {
			list = append(list, diagnose.Forbidden{Cause: "key-revoked", Setting: s, Detail: fmt.Sprintf("RevokedKeys names %s, whose line %d is no key: every key is taken for revoked", name, bad)})
			continue
		}
		entries, _ := held()
		in := func(e authorizedkeys.Entry) bool { return slices.ContainsFunc(keys, e.Key.Equal) }
		if len(entries) > 0 && !slices.ContainsFunc(entries, func(e authorizedkeys.Entry) bool { return !in(e) }) {
			list = append(list, diagnose.Forbidden{Cause: "key-revoked", Setting: s, Detail: "RevokedKeys names " + name + ", which lists every key of the account"})
		}
	}
	return list, unread
}

// plainKeys returns the keys of a list of revoked ones, or the number of its first line
// that is none (authfile.c sshkey_in_file()); ten is for OpenSSH 10.0 and later, which
// do not know DSA.
func plainKeys(list []byte, ten bool) (keys []sshkey.Public, bad int) {
	n := 0
	for line := range strings.Lines(string(list)) {
		n++
		line, _, _ = strings.Cut(strings.TrimSuffix(line, "\n"), "\x00")
		line = strings.TrimLeft(line, " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		key, err := sshkey.ParseLenient(line)
		if err != nil || ten && key.Type == "ssh-dss" {
			return nil, n
		}
		keys = append(keys, key)
	}
	return keys, 0
}

// elsewhere says that there are keys in the default files, and in none of those that
// the server reads.
func (j *Job) elsewhere(ctx context.Context, fsys hostfs.FS, config *sshdconfig.Config, who strictmodes.Account, keysFiles []string, keys func() ([]authorizedkeys.Entry, bool)) []record.Record {
	named, s := config.KeysFiles(who.Home, who.UID)
	if keysFiles == nil || len(named) == 0 || len(config.Possible("AuthorizedKeysFile")) > 0 || config.MayName("AuthorizedKeysCommand") || config.MayName("TrustedUserCAKeys") {
		return nil
	}
	if there, known := keys(); !known || len(there) > 0 {
		return nil
	}
	for _, file := range strictmodes.DefaultFiles(who.Home, strictmodes.OpenSSH) {
		switch there, _ := j.keys(ctx, fsys, who, []string{file}); {
		case len(there) == 0:
		case s.Args == nil:
			return []record.Record{{Verdict: record.Fail, Cause: "keys-file-elsewhere", Subject: file,
				Detail: "OpenSSH takes the name of the home for a pattern, which does not lead there",
				Hint:   j.at + "name another place for keys in " + sh.QuoteLine(path.Join(j.Root, sshdconfig.DefaultFile)) + ": AuthorizedKeysFile /etc/ssh/keys/%u"}}
		default:
			f := diagnose.Forbidden{Cause: "keys-file-elsewhere", Setting: s, Detail: fmt.Sprintf("AuthorizedKeysFile is %s, and the keys are in %s", strings.Join(s.Args, " "), file)}
			r := f.Record(j.Root)
			r.Hint = j.at + r.Hint
			return []record.Record{r}
		}
	}
	return nil
}

// keys returns the lines of the keys files that let somebody in; known is false if
// there is one that cannot be read.
func (j *Job) keys(ctx context.Context, fsys hostfs.FS, who strictmodes.Account, keysFiles []string) (entries []authorizedkeys.Entry, known bool) {
	if keysFiles == nil {
		keysFiles = strictmodes.DefaultFiles(who.Home, strictmodes.OpenSSH)
	}
	for _, file := range keysFiles {
		_, st, err := strictmodes.RealPath(ctx, fsys, file)
		if j.missing(ctx, fsys, file, err) {
			continue
		}
		if err != nil || st.UID != who.UID && !strictmodes.MayRead(st, who) {
			return nil, false
		}
		data, err := fsys.ReadFile(ctx, file)
		if err != nil {
			return nil, false
		}
		for _, e := range authorizedkeys.Entries(data) {
			if e.Dead == "" {
				entries = append(entries, e)
			}
		}
	}
	return entries, true
}

// missing reports whether err, of RealPath, says that p is not there. On a card, whose
// other file systems and /run are not mounted, its directory has to be.
func (j *Job) missing(ctx context.Context, fsys hostfs.FS, p string, err error) bool {
	if errors.Is(err, fs.ErrNotExist) && j.Root != "" {
		var dir string
		if dir, _, err = strictmodes.RealPath(ctx, fsys, path.Dir(p)); err != nil {
			return false
		}
		_, err = fsys.Lstat(ctx, path.Join(dir, path.Base(p))) // a link may lead there
	}
	return errors.Is(err, fs.ErrNotExist)
}
