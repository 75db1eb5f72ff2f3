package install

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"pi-key-tools/pkg/bounded"
	"pi-key-tools/pkg/firstboot"
	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/record"
)

// ErrStarted means that the system has been started before, and no longer reads
// keys from its boot partition.
var ErrStarted = errors.New("the system has been started before, and no longer reads keys from its boot partition")

// Boot prepares the Raspberry Pi boot partition mounted at dir to let the keys
// in when its system first starts: for user, who is created then, or, if empty,
// for the user whom the partition already names. switched is the file that
// switches sshd on, if one was needed; an error beside records is why it could
// not be made. What the system makes of all that when it starts cannot be known
// before.
func (j Job) Boot(dir, user string) (records []record.Record, switched string, err error) {
	if user != "" {
		if err := firstboot.CheckUser(user); err != nil {
			return nil, "", fmt.Errorf("%q: %w", user, err)
		}
	}
	f, err := findBootFile(dir)
	if err != nil {
		return nil, "", err
	}
	var keys []firstboot.Key
	for _, l := range j.Lines() {
		keys = append(keys, firstboot.Key{Line: l.Text(), Blob: l.Key.Base64()})
	}
	var done firstboot.Edit
	change := func(old []byte) (text []byte, err error) {
		done, text, err = f.change(string(old), user, keys)
		return text, err
	}
	if j.DryRun {
		var old []byte
		if old, err = bounded.ReadFile(f.path); err == nil || errors.Is(err, fs.ErrNotExist) {
			_, err = change(old)
		}
	} else {
		err = hostfs.Replace(f.path, f.mode, change)
	}
	if err != nil {
		return nil, "", err
	}
	if !done.SSH && !exists(dir, "ssh") && !exists(dir, "ssh.txt") {
		switched = filepath.Join(dir, "ssh")
		if !j.DryRun {
			err = hostfs.CreateNew(switched, nil, f.mode)
		}
	}
	return j.booted(f, keys, done), switched, err
}

// A bootFile is the file of a boot partition that says whom the system lets in.
type bootFile struct {
	path  string
	mode  fs.FileMode // of all files there
	edit  func(text, user string, keys []firstboot.Key) (firstboot.Edit, error)
	quote func(line string) string

	renamed, by string // what another file makes of the user whom this one has made
}

func findBootFile(dir string) (f bootFile, err error) {
	if _, err := os.Stat(dir); err != nil {
		return f, fmt.Errorf("--boot %w", err)
	}
	cmdline, mode, err := regular(dir, "cmdline.txt")
	if err != nil {
		return f, fmt.Errorf("%s is not a boot partition of a Raspberry Pi: %w", dir, err)
	}
	f = bootFile{path: filepath.Join(dir, "user-data"), mode: mode, edit: firstboot.UserData, quote: firstboot.YAML}
	if _, err := kind(dir, "user-data"); !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	switch {
	case !strings.Contains(cmdline, "raspberrypi-sys-mods/firstboot"):
		return f, fmt.Errorf("%s: %w", dir, ErrStarted)
	case exists(dir, "firstrun.sh"):
		return f, fmt.Errorf("%s: Raspberry Pi Imager has left a firstrun.sh there, which sets up user and keys by itself: choose the key in Imager", dir)
	}
	f = bootFile{path: filepath.Join(dir, "custom.toml"), mode: mode, edit: firstboot.CustomTOML, quote: firstboot.TOML}
	for _, name := range []string{"userconf.txt", "userconf"} { // the second is looked for first (userconf-service)
		if text, _, err := regular(dir, name); err == nil {
			f.renamed, _, _ = strings.Cut(strings.TrimSpace(text), ":")
			f.by = name
		}
	}
	if _, err := kind(dir, "custom.toml"); !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	return f, nil
}

// change edits the text of the file. The new one is nil if it is the old.
func (f bootFile) change(old, user string, keys []firstboot.Key) (done firstboot.Edit, text []byte, err error) {
	done, err = f.edit(old, user, keys)
	switch {
	case err != nil:
		return done, nil, fmt.Errorf("%s is unchanged: %w", f.path, err)
	case f.renamed != "" && f.renamed != done.User:
		return done, nil, fmt.Errorf("%s is unchanged: %s beside it makes the user %s, and not %s", f.path, f.by, f.renamed, done.User)
	case done.Text == old:
		return done, nil, nil
	}
	return done, []byte(done.Text), nil
}

// booted are the records of the keys after an edit of the file.
func (j Job) booted(f bootFile, keys []firstboot.Key, done firstboot.Edit) []record.Record {
	whom := cmp.Or(done.User, "the user of the system")
	var records []record.Record
	for i, k := range j.Keys {
		r := record.Record{Verdict: record.OK, Cause: "key-present", Subject: k.Fingerprint(), Detail: fmt.Sprintf("%s, for %s", f.path, whom)}
		switch {
		case !done.Added[i] && j.Options != "" && !holds(done.Text, keys[i], f.quote):
			r.Verdict, r.Cause = record.Fail, "options-differ"
			r.Detail, r.Hint = fmt.Sprintf("%s has the key without %s", f.path, j.Options), "remove its line there, and run it again"
		case !done.Added[i]:
		case j.DryRun:
			r.Verdict, r.Cause, r.Detail = record.Todo, "key-added", fmt.Sprintf("would add to %s for %s: %s", f.path, whom, keys[i].Line)
		default:
			r.Verdict, r.Cause, r.Detail = record.Done, "key-added", r.Detail+", at the first start; not proved by a login"
		}
		records = append(records, r)
	}
	return records
}

// holds reports whether a text has a key with the options given, quoted or not,
// whatever its comment is.
func holds(text string, k firstboot.Key, quote func(string) string) bool {
	before, _, _ := strings.Cut(k.Line, k.Blob)
	quoted := quote(before + k.Blob)
	return strings.Contains(text, before+k.Blob) || strings.Contains(text, quoted[:len(quoted)-1])
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// kind returns the mode of a file of a partition, which may be anybody's: what is
// no regular file, such as a link that leads out, is refused.
func kind(dir, name string) (fs.FileMode, error) {
	file := filepath.Join(dir, name)
	st, err := os.Lstat(file)
	switch {
	case err != nil:
		return 0, err
	case !st.Mode().IsRegular():
		return 0, fmt.Errorf("%s: %w", file, hostfs.ErrNotRegular)
	case st.Size() > maxInput:
		return 0, fmt.Errorf("%s: %w", file, bounded.ErrTooLarge)
	}
	return st.Mode().Perm(), nil
}

// regular reads a file of a partition that kind does not refuse.
func regular(dir, name string) (string, fs.FileMode, error) {
	mode, err := kind(dir, name)
	if err != nil {
		return "", 0, err
	}
	data, err := os.ReadFile(filepath.Join(dir, name))
	return string(data), mode, err
}
