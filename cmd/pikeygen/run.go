package main

import (
	"context"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/identity"
)

const synopsis = `pikeygen [-n] [-t type] [-b bits] [-C comment] [-f file] [--passphrase-file file]
pikeygen -y [-n] [-f file] [--passphrase-file file]
pikeygen -l [-v] [-f file | file ... | -]
pikeygen -s ca [-U] -I id -n principals [-V validity] [-z serial] [-O option] ... [--passphrase-file file] file ... | -`

// A command is what the options say.
type command struct {
	*cli.Env
	spec           identity.Spec
	anyType        bool   // -t was not given: a pair of every type is right
	file           string // -f; "" for ssh's default names
	passphraseFile string
	dryRun         bool
	operands       []string
	signing        // with -s
}

func run(ctx context.Context, env *cli.Env) error {
	// With -s, -n names users, as in ssh-keygen.
	dryRun, principals := "n", ""
	_, fs := define(env, "", "n")
	if err := fs.Parse(env.Args); fs.Changed("sign") {
		dryRun, principals = principals, dryRun
		if err == nil && fs.Changed("help") {
			return cli.WithHint(errors.New("-h is for help, and -s signs the keys of users: the certificate of a host is for ssh-keygen to make"),
				"ssh-keygen -s CA -I ID -h -n HOSTS FILE; and -h alone lists the options here")
		}
	}
	c, fs := define(env, dryRun, principals)
	var err error
	if c.operands, err = env.Parse(fs); err != nil {
		return err
	}
	public, list, sign := fs.Changed("public"), fs.Changed("list"), fs.Changed("sign")
	if err := c.check(fs, public, list, sign); err != nil {
		return err
	}
	switch {
	case list:
		return c.list()
	case public:
		return c.public(ctx)
	case sign:
		return c.sign(ctx)
	}
	return c.findOrMake(ctx)
}

// define makes the options anew. -n can be that of --dry-run or of --principals.
func define(env *cli.Env, dryRun, principals string) (*command, *pflag.FlagSet) {
	c := &command{Env: env}
	fs := env.Flags(synopsis)
	fs.StringVarP(&c.spec.Type, "type", "t", "", "only a pair of this `type`: ed25519 (the default for a new one), rsa, ecdsa")
	fs.IntVarP(&c.spec.Bits, "bits", "b", 0, "length of a new key: 3072 `bits` for rsa, 256 for ecdsa unless given")
	fs.StringVarP(&c.spec.Comment, "comment", "C", "", "`comment` of a new key, user@host unless given")
	fs.StringVarP(&c.file, "file", "f", "", "this private key `file`, instead of ssh's default names")
	fs.StringP("new-passphrase", "N", "", "only '' is taken, for no `passphrase`, which is the default")
	fs.StringVar(&c.passphraseFile, "passphrase-file", "", "first line of `file` is the passphrase")
	fs.BoolP("public", "y", false, "print the public key of the file; rebuild a missing .pub")
	fs.BoolP("list", "l", false, "records of the keys that are there, with -v pictures; -: public keys of standard input")
	fs.BoolVarP(&c.dryRun, "dry-run", dryRun, false, "write nothing; say what would be made; no -n with -s")
	fs.StringVarP(&c.authority, "sign", "s", "", "sign certificates of the keys, by the key of an authority in `file`")
	fs.BoolVarP(&c.agent, "agent", "U", false, "with -s: the agent has the key of the authority, and the file its public half")
	fs.StringVarP(&c.says.ID, "id", "I", "", "with -s: `name` of the certificate, which servers log")
	fs.StringVarP(&c.says.Principals, "principals", principals, "", "with -s, then also -n: `users` to log in as, separated by commas")
	fs.StringVarP(&c.says.Validity, "validity", "V", "", "with -s: the `interval` in which it is valid, such as +52w or 20260101:20270101; forever unless given")
	fs.StringVarP(&c.serial, "serial", "z", "0", "with -s: its `number`; with + before it, each next one is one more")
	fs.StringArrayVarP(&c.says.Options, "cert-option", "O", nil, "with -s: an `option` such as source-address=192.168.1.0/24, no-pty, clear; repeatable")
	return c, fs
}

// check judges the command line, and fills in what it leaves open.
func (c *command) check(fs *pflag.FlagSet, public, list, sign bool) error {
	if value, _ := fs.GetString("new-passphrase"); value != "" {
		return cli.WithHint(errors.New("-N with a passphrase is refused: whoever is on this machine can read a program's arguments"),
			"let it be the first line of a file: --passphrase-file FILE; FILE may be <(pass show NAME)")
	}
	mode, others := "", []string(nil)
	switch {
	case list && public, list && sign, public && sign:
		return cli.Usagef("-l, -y and -s exclude one another")
	case sign:
		mode, others = "-s", []string{"type", "bits", "comment", "file", "new-passphrase"}
	case list:
		mode, others = "-l", []string{"type", "bits", "comment", "new-passphrase", "passphrase-file", "dry-run"}
	case public:
		mode, others = "-y", []string{"type", "bits", "comment", "new-passphrase"}
	}
	if !sign {
		for _, name := range []string{"agent", "id", "principals", "validity", "serial", "cert-option"} {
			if fs.Changed(name) {
				return cli.Usagef("--%s is for certificates: -s CA", name)
			}
		}
	}
	for _, name := range others {
		if fs.Changed(name) {
			return cli.Usagef("--%s says nothing with %s", name, mode)
		}
	}
	switch {
	case len(c.operands) > 0 && !list && !sign:
		return cli.Usagef("no operand is taken, but there is %q: the file goes after -f", c.operands[0])
	case len(c.operands) > 0 && c.file != "":
		return cli.Usagef("-l takes -f or operands, not both")
	case fs.Changed("file") && c.file == "":
		return cli.Usagef("-f names no file")
	case c.file == "-" && !list:
		return cli.Usagef("-f -: a private key is not read from standard input")
	case fs.Changed("new-passphrase") && fs.Changed("passphrase-file"):
		return cli.Usagef("-N '' and --passphrase-file cannot go together")
	case fs.Changed("passphrase-file") && c.passphraseFile == "":
		return cli.Usagef("--passphrase-file names no file")
	case fs.Changed("bits") && !fs.Changed("type"):
		return cli.Usagef("-b needs -t rsa or -t ecdsa")
	}
	if sign {
		if err := c.signing.check(c.operands); err != nil {
			return cli.Usagef("%v", err)
		}
		return nil
	}
	c.anyType = !fs.Changed("type")
	if c.anyType {
		c.spec.Type = "ed25519"
	}
	if !fs.Changed("comment") {
		c.spec.Comment = defaultComment()
	}
	if err := c.spec.Check(); err != nil {
		return cli.Usagef("%v", err)
	}
	if !list {
		c.file = strings.TrimSuffix(c.file, ".pub") // either half names the pair
	}
	if c.file == "" && len(c.operands) == 0 && c.home() == "" {
		return cli.WithHint(errors.New("HOME is not set, so there is no ~/.ssh to look in"), "name the file: -f FILE")
	}
	return nil
}

// home is where ~/.ssh is, or "".
func (c *command) home() string {
	if home := c.Getenv("HOME"); home != "" || runtime.GOOS != "windows" {
		return home
	}
	return c.Getenv("USERPROFILE")
}

func (c *command) folder() string { return filepath.Join(c.home(), ".ssh") }

// files are the private key files to look at, in ssh's order.
func (c *command) files() []string {
	if c.file != "" {
		return []string{c.file}
	}
	files := slices.Clone(identity.DefaultNames)
	for i, name := range files {
		files[i] = filepath.Join(c.folder(), name)
	}
	return files
}

// target is the file that a new private key goes to; files has it too.
func (c *command) target() string {
	if c.file != "" {
		return c.file
	}
	return filepath.Join(c.folder(), "id_"+c.spec.Type)
}

// defaultComment is user@host, as ssh-keygen has it.
func defaultComment() string {
	name := ""
	if u, err := user.Current(); err == nil {
		name = u.Username[strings.LastIndexByte(u.Username, '\\')+1:] // DOMAIN\user
	}
	host, err := os.Hostname()
	if err != nil || name == "" {
		return name + host
	}
	return name + "@" + host
}
