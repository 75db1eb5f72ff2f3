package hostfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/pkg/sftp"

	"pi-key-tools/pkg/strictmodes"
)

// usual are the files that every judgement looks at, relative to the home.
var usual = []string{".ssh/authorized_keys", ".ssh/authorized_keys2"}

func (s *sftpFS) Lstat(ctx context.Context, p string) (strictmodes.Stat, error) {
	if !path.IsAbs(p) {
		return strictmodes.Stat{}, fmt.Errorf("%q is not an absolute path", p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.seen[p]
	if !ok {
		ways := []string{p}
		if s.seen == nil {
			s.seen = make(map[string]lstatResult)
			if home, err := s.realPath("."); err == nil {
				for _, name := range usual {
					ways = append(ways, path.Join(home, name))
				}
			}
		}
		s.walk(ways)
		if l, ok = s.seen[p]; !ok {
			return strictmodes.Stat{}, tell(ctx, "lstat", p, sftp.ErrSSHFxConnectionLost)
		}
	}
	if settled(l.err) {
		return l.st, tell(ctx, "lstat", p, l.err)
	}
	delete(s.seen, p)
	return strictmodes.Stat{}, tell(ctx, "lstat", p, l.err)
}

// settled reports whether an error is an answer.
func settled(err error) bool {
	return err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// walk looks at every component of the paths that was not looked at yet, at
// once: it takes one round trip.
func (s *sftpFS) walk(paths []string) {
	var todo []string
	for _, p := range paths {
		for {
			if _, ok := s.seen[p]; !ok && !slices.Contains(todo, p) {
				todo = append(todo, p)
			}
			if p == "/" {
				break
			}
			p = path.Dir(p)
		}
	}
	found := make([]lstatResult, len(todo))
	var wait sync.WaitGroup
	for i, p := range todo {
		wait.Go(func() {
			info, err := s.lstat(p)
			if err == nil {
				found[i].st = sftpStat(info)
			}
			found[i].err = err
		})
	}
	wait.Wait()
	for i, p := range todo {
		s.seen[p] = found[i]
	}
}

func (s *sftpFS) forget() {
	s.mu.Lock()
	s.seen = nil
	s.mu.Unlock()
}

func (s *sftpFS) Readlink(ctx context.Context, p string) (string, error) {
	target, err := s.client.ReadLink(p)
	return target, tell(ctx, "readlink", p, err)
}

// database returns /etc/passwd or /etc/group.
func (s *sftpFS) database(ctx context.Context, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, ok := s.text[name]
	if !ok {
		var err error
		if data, err = s.ReadFile(ctx, "/etc/"+name); err != nil {
			return "", err
		}
		if s.text == nil {
			s.text = make(map[string][]byte)
		}
		s.text[name] = data
	}
	return string(data), nil
}

func (s *sftpFS) PrivateGroup(ctx context.Context, gid, owner, uid int) (bool, error) {
	passwd, err := s.database(ctx, "passwd")
	if err != nil {
		return false, err
	}
	group, err := s.database(ctx, "group")
	if err != nil {
		return false, err
	}
	return readAccounts(passwd, group).privateGroup(gid, owner, uid, nil)
}

func (s *sftpFS) Account(ctx context.Context) (strictmodes.Account, error) {
	who := strictmodes.Account{Name: s.user}
	start, err := s.realPath(".")
	if err != nil {
		return who, fmt.Errorf("asking where sftp starts: %w", tell(ctx, "realpath", ".", err))
	}
	passwd, err := s.database(ctx, "passwd")
	if err != nil && !settled(err) {
		return who, err
	}
	group, groupErr := s.database(ctx, "group")
	listed := readAccounts(passwd, group)
	if u, err := listed.first(s.user); err == nil {
		who = listed.filled(u)
		if groupErr != nil {
			who.Groups = nil // not known
		}
		// sftp-server -d starts elsewhere.
		if st, err := s.stat(who.Home); who.Home == "" || err != nil || !st.IsDir() {
			if start == "/" {
				return who, fmt.Errorf("%w: %s", ErrNoHome, who.Home)
			}
			who.Home = start
		}
		return who, nil
	}
	st, err := s.Lstat(ctx, start)
	switch {
	case err != nil:
		return who, err
	case start == "/":
		return who, fmt.Errorf("%w: sftp starts in /, so it is missing, or the account is confined to a directory", ErrNoHome)
	case st.UID == 0 && s.user != "root":
		return who, fmt.Errorf("%w: %s, where sftp starts, is root's, and /etc/passwd does not tell who we are", ErrOwner, start)
	}
	who.UID, who.Home = st.UID, start
	return who, nil
}
