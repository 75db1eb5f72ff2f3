package install

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshkey"
)

func TestBoot(t *testing.T) {
	key, err := sshkey.ParsePublic("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMmo+0Erc0ozFE/dbIEfTaQTV5xlPyKovEedHh/DSTEp ann@laptop")
	if err != nil {
		t.Fatal(err)
	}
	const fresh, started = "root=x init=/usr/lib/raspberrypi-sys-mods/firstboot\n", "root=x\n"
	const user = "#cloud-config\nenable_ssh: true\nusers:\n- name: ann\n"
	for _, c := range []struct {
		name          string
		files         map[string]string
		user, options string
		want          string // of records
		file, holds   string // what is written, and a part of it
		switched      bool
		err           string
	}{
		{"Trixie", map[string]string{"cmdline.txt": started, "user-data": "#cloud-config\n"}, "ann", "", "done key-added", "user-data", "- name: ann\n", true, ""},
		{"Trixie, of Imager", map[string]string{"cmdline.txt": started, "user-data": user}, "", "", "done key-added", "user-data", key.Line(), false, ""},
		{"Trixie, with ssh", map[string]string{"cmdline.txt": started, "user-data": "#cloud-config\n", "ssh.txt": ""}, "ann", "restrict", "done key-added", "user-data", "'restrict " + key.Line(), false, ""},
		{"there with other options", map[string]string{"cmdline.txt": started, "user-data": user + "  ssh_authorized_keys:\n  - " + key.Line() + "\n"}, "", "restrict", "fail options-differ", "", "", false, ""},
		{"there with the options, in plain style", map[string]string{"cmdline.txt": started, "user-data": user + "  ssh_authorized_keys:\n  - restrict " + strings.TrimSuffix(key.Line(), " ann@laptop") + "\n"}, "", "restrict", "ok key-present", "", "", false, ""},
		{"Bookworm", map[string]string{"cmdline.txt": fresh}, "ann", "", "done key-added", "custom.toml", `authorized_keys = [ "` + key.Line(), false, ""},
		{"Bookworm, nobody named", map[string]string{"cmdline.txt": fresh}, "", "", "", "", "", false, "name the one"},
		{"Bookworm, with a password", map[string]string{"cmdline.txt": fresh, "userconf.txt": "ann:$6$x\n"}, "ann", "", "done key-added", "custom.toml", `name = "ann"`, false, ""},
		{"Bookworm, with another's password", map[string]string{"cmdline.txt": fresh, "userconf.txt": "bob:$6$x\n"}, "ann", "", "", "", "", false, "makes the user bob, and not ann"},
		{"Bookworm, of Imager", map[string]string{"cmdline.txt": fresh, "firstrun.sh": ""}, "ann", "", "", "", "", false, "Imager"},
		{"another", map[string]string{"cmdline.txt": started, "user-data": user}, "bob", "", "", "", "", false, "makes ann, and not bob"},
		{"started", map[string]string{"cmdline.txt": started}, "ann", "", "", "", "", false, ErrStarted.Error()},
		{"no boot partition", map[string]string{"user-data": user}, "ann", "", "", "", "", false, "is not a boot partition"},
		{"no name", map[string]string{"cmdline.txt": fresh}, "a b", "", "", "", "", false, "small letters"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			state := func() string {
				all, err := os.ReadDir(dir)
				if err != nil {
					t.Fatal(err)
				}
				var s strings.Builder
				for _, e := range all {
					data, err := os.ReadFile(filepath.Join(dir, e.Name()))
					if err != nil {
						t.Fatal(err)
					}
					s.WriteString(e.Name() + "\n" + string(data) + "\n")
				}
				return s.String()
			}
			before := state()
			job := Job{Keys: []sshkey.Public{key}, Options: c.options, DryRun: true}
			dry, _, dryErr := job.Boot(dir, c.user)
			if state() != before {
				t.Errorf("a dry run changed it: %s", state())
			}
			job.DryRun = false
			records, switched, err := job.Boot(dir, c.user)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || dryErr == nil || state() != before {
					t.Errorf("%v and %v, want %q; %s", err, dryErr, c.err, state())
				}
				return
			}
			if err != nil || brief(records) != c.want || (switched != "") != c.switched || c.switched != exists(dir, "ssh") {
				t.Fatalf("%v, %v, %q: %s", err, records, switched, state())
			}
			if c.file == "" {
				return
			}
			if brief(dry) != "todo key-added" {
				t.Errorf("a dry run: %v", dry)
			}
			data, err := os.ReadFile(filepath.Join(dir, c.file))
			if err != nil || !strings.Contains(string(data), c.holds) {
				t.Errorf("%v: %q has no %q", err, data, c.holds)
			}
			after := state()
			if records, switched, err = job.Boot(dir, c.user); err != nil || brief(records) != "ok key-present" || switched != "" || state() != after {
				t.Errorf("once more: %v, %v, %q", err, records, switched)
			}
		})
	}
}

func brief(records []record.Record) string {
	var words []string
	for _, r := range records {
		words = append(words, string(r.Verdict)+" "+r.Cause)
	}
	return strings.Join(words, ", ")
}

// Whose card it is may be anybody: a link on it must not lead root elsewhere.
func TestBootLeadsNowhere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links are not for everybody there")
	}
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "file")
	for _, name := range []string{filepath.Join(dir, "cmdline.txt"), outside} {
		if err := os.WriteFile(name, []byte("#cloud-config\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(dir, "user-data")); err != nil {
		t.Fatal(err)
	}
	_, _, err := Job{}.Boot(dir, "ann")
	data, rerr := os.ReadFile(outside)
	if err == nil || errors.Is(err, ErrStarted) || rerr != nil || string(data) != "#cloud-config\n" {
		t.Errorf("%v; %v, %q", err, rerr, data)
	}
}
