package session

import (
	"errors"
	"io"
	"os"
	"slices"

	"github.com/labctl/labctl/internal/courier"
	"github.com/labctl/labctl/provider"
	"github.com/labctl/labctl/schema"
)

// Errand is a command as another machine is to carry it out.
type Errand struct {
	Args     []string // of labctl; nil where the command is for this machine alone
	Input    bool     // it reads standard input
	Raw      bool     // key by key, where that is a terminal
	Writable []string // files that it writes
}

// Away carries the command out on the host of the lab in dir, if that is elsewhere. What it returns then is how the command
// ended, and nil where it is for this machine.
func Away(o *Options, stdout, stderr io.Writer, dir string) error {
	s := New(o, stdout, stderr, false)
	if err := s.loadQuietly(dir); err != nil {
		s.Lab = &schema.Lab{Hosts: []schema.Host{{URI: DefaultURI}}}
	}
	return s.Away()
}

// Away carries the command out where the session's lab is, if that is elsewhere, as the function of that name does.
func (s *Session) Away() error {
	to, elsewhere, err := s.elsewhere()
	if err != nil {
		return s.Tell(err)
	}
	if !elsewhere {
		return nil
	}
	text, err := s.pack()
	if err != nil {
		return s.Tell(err)
	}
	code, err := s.send(to, text)
	if err == nil {
		return ExitError{Code: code}
	}
	told := &provider.Error{Op: "reach host " + to.String() + " over ssh", Err: err}
	if _, lost := errors.AsType[*courier.LostError](err); lost {
		told.Op = "carry the command out on " + to.String()
		told.Hint = "what was under way there is brought to its end and nothing more is begun; 'labctl plan' tells what is left"
	}
	if refused, ok := errors.AsType[*courier.RefusedError](err); ok {
		told.Hint = refused.Hint
	}
	return s.Tell(told)
}

// elsewhere is the machine that carries the lab where that is not this one.
func (s *Session) elsewhere() (to courier.Destination, yes bool, err error) {
	if s.Options.inbox != nil {
		return to, false, nil // this is the machine
	}
	hosts := slices.Clone(s.Lab.Hosts)
	if len(hosts) == 0 {
		hosts = []schema.Host{{}}
	}
	for n := range hosts {
		if hosts[n].Name == "" && s.Options.SSH != "" {
			hosts[n].SSH = s.Options.SSH
		}
	}
	at := slices.IndexFunc(hosts, func(h schema.Host) bool { return h.SSH != "" })
	if at < 0 {
		return to, false, nil
	}
	if len(hosts) > 1 {
		return to, false, &provider.Error{
			Op: "reach host " + hosts[at].SSH, Addr: schema.Addr{Kind: "host", Name: hosts[at].Name}, Path: "ssh", Err: errors.New("a lab with several hosts cannot have one that is reached over ssh"),
			Hint: "make a lab of what each host carries",
		}
	}
	if s.Options.Errand.Args == nil {
		return to, false, errors.New("the host of this lab is not asked for this")
	}
	to, err = courier.ParseDestination(hosts[at].SSH)
	return to, true, err
}

// send has the command carried out with what it needs of this machine, and returns its exit code.
func (s *Session) send(to courier.Destination, text []byte) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	helper, err := GuestHelper()
	if err != nil {
		return 0, err
	}
	errand := s.Options.Errand
	job := courier.Job{
		To: to, Programs: map[string]string{"labctl": self, guestHelper: helper}, Args: errand.Args, Parcel: text,
		Terminal: courier.Terminal{
			In: IsTerminal(os.Stdin), Out: IsTerminal(s.Stdout), Err: IsTerminal(s.Stderr), Columns: Width(s.Stdout), Rows: Height(s.Stdout),
		},
		Answer: s.answer, Stdout: Bare(s.Stdout), Stderr: Bare(s.Stderr), Writable: errand.Writable,
	}
	for _, name := range []string{"TERM", "NO_COLOR", "TZ", "GOGC", "LABCTL_DEBUG"} {
		if value, set := os.LookupEnv(name); set {
			job.Env = append(job.Env, name+"="+value)
		}
	}
	if errand.Input {
		job.Stdin, job.Raw = os.Stdin, errand.Raw && job.Terminal.In
	}
	return courier.Run(job)
}
