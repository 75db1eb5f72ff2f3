//go:build unix

package hostfs_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshtest"
	"pi-key-tools/pkg/strictmodes"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Over a real sshd that allows nothing but sftp, in the account's home and shut
// into a directory.
func TestSFTPOnly(t *testing.T) {
	sshtest.NeedRoot(t)
	// sshd shuts in only where root alone can write, all the way down.
	jail, err := os.MkdirTemp("/run", "jail-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(jail) })
	must(t, os.Chmod(jail, 0o755))
	for name, c := range map[string]struct {
		config []string
		shut   bool
	}{
		"forced":  {config: []string{"ForceCommand internal-sftp"}},
		"nologin": {},
		"shut in": {config: []string{"ForceCommand internal-sftp", "ChrootDirectory " + jail}, shut: true},
	} {
		t.Run(name, func(t *testing.T) {
			shell := ""
			if name == "nologin" {
				shell = "/usr/sbin/nologin"
			}
			server := sshtest.StartSSHD(t, sshtest.SSHDConfig{Config: c.config})
			user := sshtest.AddUser(t, sshtest.UserConfig{Shell: shell, HomeMode: 0o777})
			user.Authorize(t)
			tcp, err := net.Dial("tcp", server.Addr)
			must(t, err)
			conn, chans, reqs, err := ssh.NewClientConn(tcp, "", &ssh.ClientConfig{
				User: user.Name, Auth: []ssh.AuthMethod{ssh.Password(user.Password)},
				HostKeyCallback: ssh.FixedHostKey(server.HostKeys[0]), Timeout: 10 * time.Second,
			})
			must(t, err)
			connection := ssh.NewClient(conn, chans, reqs)
			defer connection.Close()
			client, err := sftp.NewClient(connection)
			must(t, err)
			fsys := hostfs.SFTP(client, user.Name)
			who, err := fsys.Account(t.Context())
			if c.shut {
				if !errors.Is(err, hostfs.ErrNoHome) {
					t.Errorf("who we are: %+v, %v", who, err)
				}
				return
			}
			must(t, err)
			if who.UID != user.UID || who.Home != user.Home || !slices.Equal(who.Groups, []int{user.GID}) || who.Name != user.Name {
				t.Errorf("%+v, want %+v", who, user)
			}
			findings, err := strictmodes.Judge(t.Context(), fsys, who, nil, strictmodes.Debian)
			if err != nil || len(findings) != 1 || findings[0].Cause != "home-writable" {
				t.Fatalf("%+v, %v", findings, err)
			}
			f := findings[0]
			must(t, fsys.Chmod(t.Context(), f.Path, f.Stat, f.Mode))
			if findings, err = strictmodes.Judge(t.Context(), fsys, who, nil, strictmodes.Debian); err != nil || len(findings) != 0 {
				t.Errorf("after the repair: %+v, %v", findings, err)
			}
			if st, err := os.Lstat(user.Home); err != nil || st.Mode() != fs.ModeDir|0o755 {
				t.Errorf("the home is %v, %v", st.Mode(), err)
			}
		})
	}
}
