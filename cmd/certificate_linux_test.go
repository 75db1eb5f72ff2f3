package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshtest"
)

// Why a server refuses a certificate is looked up there, by another key.
func TestCertificateCauses(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "sshd", "ssh-keygen")
	dir := t.TempDir()
	trusted, ca := sshtest.NewKey(t, dir, "rsa"), sshtest.NewKey(t, t.TempDir(), "ed25519")
	revoked := filepath.Join(dir, "revoked")
	writeFile(t, revoked, ca.Line+"\n")
	for _, folder := range []string{dir, filepath.Dir(dir)} { // for the account to look in
		must(t, os.Chmod(folder, 0o755))
	}
	servers := map[string]*sshtest.Daemon{}
	user := sshtest.AddUser(t, sshtest.UserConfig{})
	const all = "cert-authority CA"
	for _, c := range []struct {
		name, config, entry string
		ca                  sshtest.Key
		sign                string
		want, says, hint    string
	}{
		{"nobody trusts it", "", "", ca, "-n USER", "cert-refused", ") does not hold it", "pikeycopy --ca -i -"},
		{"without cert-authority", "", "CA", ca, "-n USER", "cert-refused", "without cert-authority", "pikeycopy --ca -i - -f"},
		{"for another, by an entry", "", all, ca, "-n admin,robot", "cert-principal", "is for admin, robot, and without principals= the line accepts certificates for USER", "--principals admin,robot"},
		{"for another, by principals=", "", `cert-authority,principals="admin" CA`, ca, "-n USER", "cert-principal", `the line has principals="admin"`, "--principals USER"},
		{"for another, by TrustedUserCAKeys", "", "", trusted, "-n admin", "cert-principal", "TrustedUserCAKeys accepts certificates for USER", "pikeygen -s CA"},
		{"for another, by a file", "AuthorizedPrincipalsFile .principals", "", trusted, "-n USER", "cert-principal", ".principals (AuthorizedPrincipalsFile at ", "pikeygen -s CA"},
		{"from elsewhere", "", all, ca, "-n USER -O source-address=10.0.0.0/8", "cert-refused", "source-address=10.0.0.0/8, and the server sees us as 127.0.0.1", "-O source-address=127.0.0.1"},
		{"critical option", "", all, ca, "-n USER -O critical:x@example.com", "cert-refused", "x@example.com, which OpenSSH does not support", "pikeygen -s CA"},
		{"of a host", "", all, ca, "-h -n USER", "cert-refused", "a host certificate", "pikeygen -s CA"},
		{"of yesterday", "", all, ca, "-n USER -V -2d:-1d", "cert-expired", "the clock there says ", "pikeygen -s CA"},
		{"of tomorrow", "", all, ca, "-n USER -V +1d:+2d", "cert-not-yet", "the clock there says ", "pikeygen -s CA"},
		{"of tomorrow, for another", "", all, ca, "-n admin -V +1d:+2d", "cert-not-yet cert-principal", "", ""},
		{"entry for another place", "", `cert-authority,from="10.0.0.1" CA`, ca, "-n USER", "entry-from", `from="10.0.0.1"`, `--options 'from="127.0.0.1"'`},
		{"entry that is over", "", `cert-authority,principals="a b,USER",expiry-time="20200101" CA`, ca, "-n USER", "entry-expired", "has passed", "--principals 'a b,USER'"},
		{"two commands", "", `cert-authority,command="a" CA`, ca, "-n USER -O force-command=b", "cert-refused", `command="a" of the line`, ""},
		{"SHA-1", "", "", trusted, "-n USER -t ssh-rsa", "cert-refused", "SHA-1", "pikeygen -s CA"},
		{"algorithm", "PubkeyAcceptedAlgorithms ssh-ed25519", all, ca, "-n USER", "key-type-refused", "without ssh-ed25519-cert-v01@openssh.com", ""},
		{"authority revoked", "RevokedKeys " + revoked, all, ca, "-n USER", "key-revoked", "the key is in the list", ""},
		{"the second entry lets in, and it is of tomorrow", "", "CA\n" + all, ca, "-n USER -V +1d:+2d", "cert-not-yet", "", ""},
	} {
		server := servers[c.config]
		if server == nil {
			server = sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: []string{"TrustedUserCAKeys " + trusted.File + ".pub", c.config}})
			configOf(t, server) // which others may read, as they may /etc/ssh/sshd_config
			servers[c.config] = server
		}
		t.Run(c.name, func(t *testing.T) {
			me := newTraveller(t, server.Endpoint)
			r := strings.NewReplacer("USER", user.Name, "CA", c.ca.Line)
			other := sshtest.NewKey(t, t.TempDir(), "ed25519")
			user.Authorize(t, append(strings.Split(r.Replace(c.entry), "\n"), other.Line)...)
			user.Own(t, writeFile(t, filepath.Join(user.Home, ".principals"), "# nobody\nno-pty admin\n"), 0o600)
			me.run(0, "", "pikeygen")
			key := filepath.Join(me.home, ".ssh", "id_ed25519")
			args := append([]string{"-q", "-s", c.ca.File, "-I", "me"}, strings.Fields(strings.ReplaceAll(c.sign, "USER", user.Name))...)
			sshtest.Keygen(t, append(args, key+".pub")...)
			// From outside, the first is one of what can be.
			if says := map[string]string{"nobody trusts it": "or the certificate's authority", "critical option": "\tcert-refused\t"}[c.name]; says != "" {
				records, stderr := me.run(1, "", "pikeycheck", user.Name+"@"+server.Addr)
				if !strings.Contains(records, says) || !strings.Contains(stderr, " pikeycopy ") {
					t.Errorf("no %q from outside, or no way without a certificate: %s%s", says, records, stderr)
				}
			}
			records, stderr := me.run(1, "", "pikeycheck", "--inside-key", other.File, user.Name+"@"+server.Addr)
			var want []string
			for cause := range strings.FieldsSeq(c.want) {
				want = append(want, "fail "+cause)
			}
			wantOutcomes(t, records, want...)
			if says := strings.ReplaceAll(c.says, "USER", user.Name); !strings.Contains(records, record.Escape(says)) {
				t.Errorf("no %q in %s", says, records)
			}
			if hint := strings.ReplaceAll(c.hint, "USER", user.Name); !strings.Contains(stderr, hint) {
				t.Errorf("no hint %q in %s", hint, stderr)
			}
		})
	}
}
