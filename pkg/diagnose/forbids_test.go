package diagnose

import (
	"slices"
	"strings"
	"testing"

	"pi-key-tools/pkg/authorizedkeys"
	"pi-key-tools/pkg/session"
	"pi-key-tools/pkg/sshdconfig"
	"pi-key-tools/pkg/strictmodes"
)

// keys are the lines of a keys file.
func keys(text string) func() ([]authorizedkeys.Entry, bool) {
	return func() ([]authorizedkeys.Entry, bool) { return authorizedkeys.Entries([]byte(text)), true }
}

func TestForbids(t *testing.T) {
	for text, want := range map[string]string{
		"":                                       "",
		"PubkeyAuthentication no":                "pubkey-disabled",
		"Match User pi\nPubkeyAuthentication no": "pubkey-disabled",
		"Match Address 10.0.0.0/8\nPubkeyAuthentication no":                           "",
		"PubkeyAuthentication no\nMatch Address 10.0.0.0/8\nPubkeyAuthentication yes": "",
		"PubkeyAuthentication no\nInclude closed":                                     "",
		"AuthenticationMethods password keyboard-interactive":                         "pubkey-disabled",
		"AuthenticationMethods password,publickey":                                    "more-needed",
		"AuthenticationMethods publickey,password publickey,publickey":                "",
		"AuthenticationMethods any":                                                   "",
		"PermitRootLogin no":                                                          "",
		"AllowUsers ann":                                                              "user-not-allowed",
		"AllowUsers pi@10.0.0.0/8":                                                    "",
		"DenyGroups sudo\nPubkeyAuthentication no":                                    "pubkey-disabled user-not-allowed",
		"AuthorizedKeysFile none":                                                     "keys-file-elsewhere",
		"AuthorizedKeysFile none\nAuthorizedKeysCommand /bin/x":                       "",
		"AuthorizedKeysFile none\nTrustedUserCAKeys /etc/ca":                          "",
		"AuthorizedKeysFile none\nMatch Address 10.0.0.0/8\nTrustedUserCAKeys /ca":    "",
	} {
		files := sshdconfig.Files{"main": {{Path: "main", Text: text}}, "/etc/ssh/closed": {{Path: "/etc/ssh/closed", Unread: true}}}
		config := sshdconfig.Evaluate(nil, "main", files, sshdconfig.Connection{User: "pi", Groups: []string{"pi", "sudo"}})
		var got []string
		for _, f := range Forbids(config, strictmodes.Account{Name: "pi", UID: 1000, Home: "/home/pi"}, keys("")) {
			got = append(got, f.Cause)
		}
		if got := strings.Join(got, " "); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	config := sshdconfig.Evaluate(nil, "main", sshdconfig.Files{"main": {{Path: "/etc/ssh/sshd_config", Text: "\nPermitRootLogin no\n"}}}, sshdconfig.Connection{User: "root"})
	list := Forbids(config, strictmodes.Account{Name: "root", Home: "/root"}, keys(""))
	if len(list) != 1 {
		t.Fatalf("root: %+v", list)
	}
	r := list[0].Record("/mnt")
	if r.Cause != "root-refused" || r.Subject != "/etc/ssh/sshd_config:2" || r.Detail != "PermitRootLogin is no" || r.Hint != "change line 2 of /mnt/etc/ssh/sshd_config" {
		t.Errorf("root: %+v", r)
	}
	if hint := list[0].Record("").Hint; hint != "change line 2 of /etc/ssh/sshd_config, then: sudo sshd -t && sudo systemctl reload ssh" {
		t.Errorf("here: %s", hint)
	}
}

// What keeps out every key that is there is told, and what keeps out some of them is not.
func TestForbidsAll(t *testing.T) {
	const ed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n"
	for _, c := range []struct{ text, lines, want string }{
		{"PubkeyAcceptedAlgorithms rsa-sha2-512", ed, "key-type-refused"},
		{"PubkeyAcceptedAlgorithms rsa-sha2-512", "", ""},
		{"PubkeyAcceptedAlgorithms rsa-sha2-512", ed + "cert-authority " + ed, ""},
		{"PubkeyAcceptedAlgorithms rsa-sha2-512\nAuthorizedKeysCommand /bin/x", ed, ""},
		{"PubkeyAcceptedAlgorithms rsa-sha2-512\nMatch Address 10.0.0.0/8\nPubkeyAcceptedAlgorithms *", ed, ""},
		{"PermitRootLogin forced-commands-only", ed, "root-refused"},
		{"PermitRootLogin forced-commands-only", `command="x" ` + ed, ""},
		{"PermitRootLogin forced-commands-only", ed + `command="x" ` + ed, ""},
		{"PermitRootLogin forced-commands-only\nPubkeyAcceptedAlgorithms -ssh-ed25519", ed + ed, "key-type-refused"},
		{"PermitRootLogin prohibit-password", ed, ""},
		{"AuthenticationMethods publickey,publickey", ed, "more-needed"},
		{"AuthenticationMethods publickey,publickey", ed + ed, ""},
		{"AuthenticationMethods publickey,publickey", "cert-authority " + ed, ""},
		{"AuthenticationMethods publickey,publickey password,publickey publickey", ed, ""},
	} {
		config := sshdconfig.Evaluate(nil, "main", sshdconfig.Files{"main": {{Path: "main", Text: c.text}}}, sshdconfig.Connection{User: "root"})
		var got []string
		for _, f := range Forbids(config, strictmodes.Account{Name: "root", Home: "/root"}, keys(c.lines)) {
			got = append(got, f.Cause)
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%q, %q: %q, want %q", c.text, c.lines, got, c.want)
		}
	}
}

func TestDoubt(t *testing.T) {
	for text, want := range map[string]string{
		"PubkeyAuthentication no":                           "",
		"Match Address 10.0.0.0/8\nPubkeyAuthentication no": "main:2 may",
		"AllowUsers pi@10.0.0.0/8":                          "main:1 may",
		"AllowUsers pi@*":                                   "",
		"Match Address *\nPubkeyAuthentication no":          "",
		"Match Host x.example.org\nAuthorizedKeysFile none\nMatch LocalPort 22\nDenyUsers a": "main:2, main:4 may",
		"Match LocalPort 22\nPermitRootLogin no":                                             "",
		"Include closed":                                                                     "/etc/ssh/closed cannot be read",
	} {
		files := sshdconfig.Files{"main": {{Path: "main", Text: text}}, "/etc/ssh/closed": {{Path: "/etc/ssh/closed", Unread: true}}}
		config := sshdconfig.Evaluate(nil, "main", files, sshdconfig.Connection{User: "pi"})
		if got := Doubt(config, strictmodes.Account{Name: "pi", UID: 1000, Home: "/home/pi"}); !strings.HasPrefix(got, want) || (got == "") != (want == "") {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := Doubt(nil, strictmodes.Account{}); got != "" {
		t.Error(got)
	}
}

// A login that works refutes what a configuration that the server does not have says.
func TestRefutes(t *testing.T) {
	causes := []string{"pubkey-disabled", "keys-file-elsewhere", "key-revoked", "user-not-allowed", "root-refused", "shell-missing"}
	for _, c := range []struct {
		version, by, methods string
		want                 string // what is left
	}{
		{"SSH-2.0-OpenSSH_9.2p1", "publickey", "publickey password", ""},
		{"SSH-2.0-OpenSSH_9.2p1", "password", "publickey password", "keys-file-elsewhere key-revoked"},
		{"SSH-2.0-OpenSSH_9.2p1", "password", "password", "pubkey-disabled keys-file-elsewhere key-revoked"},
		{"SSH-2.0-tinyssh", "password", "password", ""},
	} {
		rep := &session.Report{ServerVersion: c.version, By: c.by, Methods: strings.Fields(c.methods)}
		left := slices.DeleteFunc(slices.Clone(causes), func(cause string) bool { return Refutes(rep, cause) })
		if got := strings.Join(left, " "); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}
