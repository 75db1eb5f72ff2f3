package firstboot

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

var key = Key{"ssh-ed25519 BLOB ann's", "BLOB"}

const made = `users:
- name: ann
  groups: ` + groups + `
  shell: /bin/bash
  lock_passwd: true
  sudo: ALL=(ALL) NOPASSWD:ALL
  ssh_authorized_keys:
  - 'ssh-ed25519 BLOB ann''s'
`

// check has an edit judged: "" as want means that it is refused, with that word.
func check(t *testing.T, edit func(string, string, []Key) (Edit, error), text, user, want, whom, word string) {
	t.Helper()
	e, err := edit(text, user, []Key{key})
	if word != "" {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%q for %q: %v, want %q\n%s", text, user, err, word, e.Text)
		}
		return
	}
	if err != nil || e.Text != want || e.User != whom || !slices.Equal(e.Added, []bool{true}) {
		t.Errorf("%q for %q: %v, for %q, added %v\n got %q\nwant %q", text, user, err, e.User, e.Added, e.Text, want)
		return
	}
	// Once more changes nothing.
	again, err := edit(e.Text, user, []Key{key})
	if err != nil || again.Text != e.Text || !slices.Equal(again.Added, []bool{false}) || again.User != whom {
		t.Errorf("%q once more: %v, %+v", e.Text, err, again)
	}
}

func TestUserData(t *testing.T) {
	const item, c = "- 'ssh-ed25519 BLOB ann''s'\n", "#cloud-config\n"
	for _, x := range []struct{ text, user, want, whom, word string }{
		// made anew
		{"", "ann", c + made, "ann", ""},
		{c + "# users:\n#- name: pi\n", "ann", c + "# users:\n#- name: pi\n" + made, "ann", ""},
		{c + "# BLOB", "ann", c + "# BLOB\n" + made, "ann", ""},
		{"#cloud-config\r\n", "ann", "#cloud-config\r\n" + strings.ReplaceAll(made, "\n", "\r\n"), "ann", ""},
		{c + "users:\n", "ann", c + made, "ann", ""},
		{c + "users:\n#- name: pi\n", "ann", c + "users:\n" + strings.TrimPrefix(made, "users:\n") + "#- name: pi\n", "ann", ""},
		{c + "packages: [\n  a\n]\n", "ann", c + "packages: [\n  a\n]\n" + made, "ann", ""},
		{c + "---\nhostname: x\n", "ann", c + "---\nhostname: x\n" + made, "ann", ""},
		{c + "users:\n  - default\nx: y\n", "ann", c + "users:\n  - default\n  " + strings.TrimSuffix(strings.ReplaceAll(strings.TrimPrefix(made, "users:\n"), "\n", "\n  "), "  ") + "x: y\n", "ann", ""},
		// what a scalar holds is no key
		{c + "write_files:\n- content: |\n    users:\n    - name: ann\n", "ann", c + "write_files:\n- content: |\n    users:\n    - name: ann\n" + made, "ann", ""},

		{c + "ssh_authorized_keys:\n- a\nusers:\n- default # pi\n", "", c + "ssh_authorized_keys:\n- a\n" + item + "users:\n- default # pi\n", "", ""},
		{c + "ssh_authorized_keys:\n- a\nwrite_files:\n- content: BLOB\n", "", c + "ssh_authorized_keys:\n- a\n" + item + "write_files:\n- content: BLOB\n", "", ""},
		{c + "users:\n- name: ann\n  gecos: BLOB\n", "", c + "users:\n- name: ann\n  ssh_authorized_keys:\n    " + item + "  gecos: BLOB\n", "ann", ""},

		// of Raspberry Pi Imager, with a password and with keys
		{c + "users:\n- name: ann\n  shell: /bin/sh\nx: y\n", "", c + "users:\n- name: ann\n  ssh_authorized_keys:\n    " + item + "  shell: /bin/sh\nx: y\n", "ann", ""},
		{c + "users:\n- name: ann\n  ssh_authorized_keys:\n    - a\n    - b\n  sudo: x\n", "ann", c + "users:\n- name: ann\n  ssh_authorized_keys:\n    - a\n    - b\n    " + item + "  sudo: x\n", "ann", ""},
		{c + "users:\n- name: ann\n  ssh_authorized_keys:\n  - a\n\n# end\nx: y\n", "", c + "users:\n- name: ann\n  ssh_authorized_keys:\n  - a\n  " + item + "\n# end\nx: y\n", "ann", ""},
		{c + "users:\n- name: ann\n  ssh_authorized_keys:\n", "", c + "users:\n- name: ann\n  ssh_authorized_keys:\n    " + item, "ann", ""},
		// of others
		{c + "users:\n  - default\n  -\n    uid: 7\n    name: 'bob' # he\n  - name: ann\n    ssh-authorized-keys:\n      - BLOB\n", "bob",
			c + "users:\n  - default\n  -\n    uid: 7\n    name: 'bob' # he\n    ssh_authorized_keys:\n      " + item + "  - name: ann\n    ssh-authorized-keys:\n      - BLOB\n", "bob", ""},
		{c + "user:\n  name: ann\n", "", c + "user:\n  name: ann\n  ssh_authorized_keys:\n    " + item, "ann", ""},
		{c + "user:\n  shell: x\n", "", c + "user:\n  ssh_authorized_keys:\n    " + item + "  shell: x\n", "", ""},
		{c + "ssh_authorized_keys:\n- a\nx: y\n", "", c + "ssh_authorized_keys:\n- a\n" + item + "x: y\n", "", ""},

		// refused
		{c, "", "", "", ErrNoUser.Error()},
		{c + "users:\n- name: ann\n", "bob", "", "", "makes ann, and not bob"},
		{c + "users:\n- name: a\n- name: b\n", "", "", "", "a, b"},
		{"#!/bin/sh\n", "ann", c + "#!/bin/sh\n" + made, "ann", ""}, // a comment alone does nothing
		{"#!/bin/sh\nexit\n", "ann", "", "", "#cloud-config"},
		{"## template: jinja\n#cloud-config\nx: y\n", "ann", "", "", "#cloud-config"},
		{c + "x:\n\ty: z\n", "ann", "", "", "TAB"},
		{c + "x: y\n---\nx: z\n", "ann", "", "", "document"},
		{c + "{x: y}\n", "ann", "", "", "braces"},
		{c + "users: [{name: ann}]\n", "ann", "", "", "one line"},
		{c + "users:\n- {name: ann}\n", "ann", "", "", "braces"},
		{c + "users:\n  ann: x\n", "ann", "", "", "no list"},
		{c + "users:\n- name: ann\n  ssh_authorized_keys: [ a ]\n", "ann", "", "", "one line"},
		{c + "user: ann\n", "ann", "", "", "line 2"},
		{c + "user:\n  shell: x\n", "ann", "", "", "the user of the system"},
		// what would be there twice, or without its meaning
		{c + "\"users\":\n- name: bob\n", "ann", "", "", "line 2"},
		{c + "users :\n- name: bob\n", "ann", "", "", "line 2"},
		{c + "  hostname: x\n", "ann", "", "", "line 2"},
		{c + "- hostname: x\n", "ann", "", "", "line 2"},
		{c + "---\n  hostname: x\n", "ann", "", "", "line 3"},
		{c + "---\n---\n", "ann", "", "", "document"},
		{c + "users:\n- default\nusers:\n- name: ann\n", "ann", "", "", "line 4"},
		{c + "users:\n- \"name\": ann\n", "ann", "", "", "plain name"},
		{c + "users:\n- name: >-\n    ann\n", "", "", "", "plain name"},
		{c + "ssh_authorized_keys:\n- other\n", "ann", "", "", "by default"},
		{c + "ssh_authorized_keys:\n- a\nusers:\n- bob\n", "", "", "", ErrNoUser.Error()},
		{c + "enable_ssh: false\n", "ann", "", "", "enable_ssh: false"},
	} {
		check(t, UserData, x.text, x.user, x.want, x.whom, x.word)
	}
	if e, err := UserData(c+"enable_ssh: true # on\n", "ann", []Key{key}); err != nil || !e.SSH {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestCustomTOML(t *testing.T) {
	const quoted, v = `"ssh-ed25519 BLOB ann's"`, "config_version = 1\n"
	const ssh = "[ssh]\nenabled = true\npassword_authentication = false\nauthorized_keys = [ " + quoted + " ]\n"
	for _, x := range []struct{ text, user, want, whom, word string }{
		{"", "ann", v + "\n[user]\nname = \"ann\"\n\n" + ssh, "ann", ""},
		{v + "[user]\nname = 'ann' # she\n", "", v + "[user]\nname = 'ann' # she\n\n" + ssh, "ann", ""},
		{v + "[wlan]\nssid = \"a\"", "ann", v + "[wlan]\nssid = \"a\"\n\n[user]\nname = \"ann\"\n\n" + ssh, "ann", ""},
		{v + "[user]\npassword = \"x\"\n\n[ssh] # on\nenabled = true\npassword_authentication = true\n\n[wlan]\n", "ann",
			v + "[user]\npassword = \"x\"\nname = \"ann\"\n\n[ssh] # on\nenabled = true\npassword_authentication = true\nauthorized_keys = [ " + quoted + " ]\n\n[wlan]\n", "ann", ""},
		{v + "[user]\nname = \"ann\"\n[ssh]\nauthorized_keys = [\n  \"a]\", # ]\n  'b#',\n  # end ]\n]\nenabled = true\n", "ann",
			v + "[user]\nname = \"ann\"\n[ssh]\nauthorized_keys = [\n  \"a]\", # ]\n  'b#', " + quoted + "\n  # end ]\n]\nenabled = true\n", "ann", ""},
		{v + "[user]\nname = \"ann\"\n[ssh]\nenabled = true\nauthorized_keys = [ \"a\\\"]\" ]\n", "ann",
			v + "[user]\nname = \"ann\"\n[ssh]\nenabled = true\nauthorized_keys = [ \"a\\\"]\", " + quoted + " ]\n", "ann", ""},
		{v + "[user]\nname = \"ann\"\n[ssh]\nauthorized_keys = []\n", "ann", v + "[user]\nname = \"ann\"\n[ssh]\nauthorized_keys = [ " + quoted + "]\nenabled = true\n", "ann", ""},
		{v + "[user]\nname = \"ann\"\n[wlan]\nssid = \"BLOB\"\n", "ann", v + "[user]\nname = \"ann\"\n[wlan]\nssid = \"BLOB\"\n\n" + ssh, "ann", ""},

		// A password is of use still.
		{v + "[user]\nname = \"ann\"\npassword = \"x\"\n", "", v + "[user]\nname = \"ann\"\npassword = \"x\"\n\n" + strings.Replace(ssh, "password_authentication = false\n", "", 1), "ann", ""},

		{v + "[user]\n\"name\" = \"bob\"\n", "ann", "", "", "line 3"},
		{v + "user.name = \"bob\"\n", "ann", "", "", "line 2"},
		{v + "ssh = { enabled = true }\n", "ann", "", "", "line 2"},
		{v + "[[ssh]]\n", "ann", "", "", "line 2"},
		{v + "[ 'ssh' ]\n", "ann", "", "", "line 2"},
		{v, "", "", "", ErrNoUser.Error()},
		{v + "[user]\nname = \"ann\"\n", "bob", "", "", "makes ann, and not bob"},
		{v + "[user]\nname = \"a\\u006en\"\n", "ann", "", "", "not to be read"},
		{v + "[user]\nname = \"ann\"\n[ssh]\nenabled = false\n", "ann", "", "", "enabled = false"},
		{v + "x = \"\"\"\n[ssh]\n\"\"\"\n", "ann", "", "", "several lines"},
		{v + "[user]\nname = \"ann\"\n[ssh]\nenabled = true\nauthorized_keys = [ \"a\",\n", "ann", "", "", "does not end"},
		{v + "[user]\nname = \"ann\"\n[ssh]\nenabled = true\nauthorized_keys = [ [] ]\n", "ann", "", "", "arrays"},
	} {
		check(t, CustomTOML, x.text, x.user, x.want, x.whom, x.word)
	}
}

// What echo of Debian's sh makes of a line in custom.toml is the line.
func TestTOMLAndEcho(t *testing.T) {
	for _, line := range []string{`command="say \"a\"" K ann`, `command="printf a\nb\c" K`, `K corp\nancy@laptop`, `K a\\b\\`} {
		var text string
		if err := json.Unmarshal([]byte(TOML(line)), &text); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("dash", "-c", `echo "$1"`, "sh", text).Output()
		if errors.Is(err, exec.ErrNotFound) && os.Getenv("PIKEY_TEST_REQUIRE") != "1" {
			t.Skip(err)
		}
		if err != nil || string(out) != line+"\n" {
			t.Errorf("%s became %q, %v", line, out, err)
		}
	}
}

func TestCheckUser(t *testing.T) {
	for name, ok := range map[string]bool{"pi": true, "_x-1": true, "": false, "root": false, "Pi": false, "-n": false, "a b": false, "a\nb": false, "a'": false} {
		if err := CheckUser(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// Whatever a file holds, nothing panics, and what was there stays, in its order.
func FuzzUserData(f *testing.F) {
	f.Add("#cloud-config\nusers:\n  -\n    name: ann\n", "ann")
	f.Add("#cloud-config\nuser:\n  name: x\nusers:\n- default\n-\n", "")
	f.Fuzz(func(t *testing.T, text, user string) {
		for _, edit := range []func(string, string, []Key) (Edit, error){UserData, CustomTOML} {
			e, err := edit(text, user, []Key{key})
			if err != nil && errors.Is(err, ErrNoUser) && user != "" {
				t.Errorf("%q: %v for %q", text, err, user)
			}
			rest := e.Text
			for i := 0; err == nil && i < len(text); i++ {
				at := strings.IndexByte(rest, text[i])
				if at < 0 {
					t.Fatalf("%q became %q", text, e.Text)
				}
				rest = rest[at+1:]
			}
		}
	})
}
