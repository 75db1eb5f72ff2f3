package sshtest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// A session is one channel. It runs one command, shell or subsystem.
type session struct {
	pi      *Pi
	conn    *ssh.ServerConn
	ch      ssh.Channel
	env     []string
	started bool
	cmd     *exec.Cmd // nil if nothing runs
}

// serve answers the channel's requests until it is closed, and then ends what
// runs on it. RFC 4254 section 6.
func (s *session) serve(requests <-chan *ssh.Request) {
	defer s.ch.Close()
	for r := range requests {
		ok := false
		var then func() // once the client knows: its answer must not come after the command's end
		switch r.Type {
		case "env":
			var m struct{ Name, Value string }
			if ssh.Unmarshal(r.Payload, &m) == nil && (m.Name == "LANG" || strings.HasPrefix(m.Name, "LC_")) {
				s.env = append(s.env, m.Name+"="+m.Value)
				ok = true
			}
		case "shell", "exec":
			var m struct{ Command string }
			if r.Type == "exec" && ssh.Unmarshal(r.Payload, &m) != nil {
				break
			}
			then = s.start(m.Command)
			ok = then != nil
		case "subsystem":
			var m struct{ Name string }
			if ssh.Unmarshal(r.Payload, &m) == nil && m.Name == "sftp" {
				then = s.startSFTP()
				ok = then != nil
			}
		case "signal":
			var m struct{ Name ssh.Signal }
			if ssh.Unmarshal(r.Payload, &m) == nil && signals[m.Name] != nil && s.cmd != nil {
				signalGroup(s.cmd.Process.Pid, signals[m.Name])
			}
		}
		if r.WantReply {
			r.Reply(ok, nil)
		}
		if then != nil {
			s.pi.wg.Go(then)
		}
	}
	if s.cmd != nil {
		signalGroup(s.cmd.Process.Pid, os.Kill)
	}
}

// start starts a command in the login shell, or the shell itself for "". What
// it returns waits for its end; nil means that it could not be started.
func (s *session) start(command string) (wait func()) {
	if s.started {
		return nil
	}
	s.started = true
	s.pi.count(func(c *Counts) { c.Commands = append(c.Commands, command) })
	if s.conn.Permissions != nil {
		if forced, ok := s.conn.Permissions.CriticalOptions[forceCommand]; ok {
			s.env = append(s.env, "SSH_ORIGINAL_COMMAND="+command)
			command = forced
		}
	}
	shell := s.pi.config.Shell
	cmd := exec.Command(shell)
	if command == "" {
		cmd.Args = []string{"-" + filepath.Base(shell)}
	} else {
		cmd.Args = []string{filepath.Base(shell), "-c", command}
	}
	cmd.Env = s.env
	cmd.Dir = s.pi.Home
	cmd.Stdout = s.ch
	cmd.Stderr = s.ch.Stderr()
	ownGroup(cmd)
	stdin, err := cmd.StdinPipe() // not cmd.Stdin, which Wait would wait for
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(s.ch.Stderr(), err)
		return nil
	}
	s.cmd = cmd
	s.pi.wg.Go(func() {
		io.Copy(stdin, s.ch)
		stdin.Close()
	})
	return func() {
		// Like sshd, this waits until all who hold the output have closed it.
		cmd.Wait()
		if name, ok := signalOf(cmd.ProcessState); ok {
			s.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
				Name    string
				Dumped  bool
				Message string
				Lang    string
			}{Name: name}))
		} else {
			exit(s.ch, uint32(cmd.ProcessState.ExitCode()))
		}
		s.ch.Close()
	}
}

// exit tells that a command has ended, and closes its channel.
func exit(ch ssh.Channel, status uint32) {
	ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
	ch.Close()
}

// startSFTP prepares the subsystem. What it returns serves it; nil means that
// it is not to be had.
func (s *session) startSFTP() (serve func()) {
	if s.started {
		return nil
	}
	s.started = true
	if s.conn.Permissions != nil && s.conn.Permissions.CriticalOptions[forceCommand] != "" {
		return nil
	}
	server, err := sftp.NewServer(s.ch, sftp.WithServerWorkingDirectory(s.pi.Home))
	if err != nil {
		return nil
	}
	s.pi.count(func(c *Counts) { c.SFTP++ })
	return func() {
		server.Serve() // ends with the channel; why is no concern of ours
		exit(s.ch, 0)
	}
}
