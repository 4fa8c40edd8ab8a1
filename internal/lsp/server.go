// Package lsp is a language server for labs: diagnostics, completion, hover, go-to-definition and formatting, spoken over
// the Language Server Protocol 3.16.
//
// All that it knows of the language comes from the table of blocks and from reading the lab as the other commands do, with
// the editor's unsaved texts in place of the files.
package lsp

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"go.lsp.dev/jsonrpc2"
	"go.lsp.dev/protocol"

	"github.com/labctl/labctl/schema/osvariant"
	"github.com/labctl/labctl/schema/table"
)

// settle is how long the server waits for the next keystroke before it reads the lab again to say what is wrong with it.
const settle = 100 * time.Millisecond

// Server is a language server for one editor.
type Server struct {
	version string
	env     []string
	systems osvariant.Systems
	root    *table.Block
	conn    jsonrpc2.Conn

	mu        sync.Mutex
	documents map[string]*document // open ones, by path
	labs      map[string]*lab      // by folder; emptied when a text changes
	good      map[string]*lab      // the last of each folder that had no syntax error
	published map[string]bool      // files that the editor was told of
	timer     *time.Timer
	stopped   bool // shutdown was asked for
	snippets  bool // the editor knows texts with places to fill in
}

// New is a server of labctl's version for labs that get variables from env, and whose os_variant systems knows.
func New(version string, env []string, systems osvariant.Systems) *Server {
	return &Server{
		version: version, env: env, systems: systems, root: table.Root(), documents: map[string]*document{}, labs: map[string]*lab{},
		good: map[string]*lab{}, published: map[string]bool{},
	}
}

// Serve talks with an editor until it says exit or hangs up. It is an error if that comes without a shutdown before.
func (s *Server) Serve(ctx context.Context, pipe io.ReadWriteCloser) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.conn = jsonrpc2.NewConn(jsonrpc2.NewStream(pipe))
	s.conn.Go(ctx, func(ctx context.Context, reply jsonrpc2.Replier, req jsonrpc2.Request) error {
		if req.Method() == protocol.MethodExit {
			cancel()
			return reply(ctx, nil, nil)
		}
		return s.handle(ctx, reply, req)
	})
	select {
	case <-s.conn.Done():
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
	if !s.stopped {
		return fmt.Errorf("the editor left without a shutdown")
	}
	return nil
}

// handle answers one message. A bug on the way to an answer costs that answer and not the server.
func (s *Server) handle(ctx context.Context, reply jsonrpc2.Replier, req jsonrpc2.Request) (err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		if bug := recover(); bug != nil {
			err = reply(ctx, nil, fmt.Errorf("%w: this is a bug in labctl: %v", jsonrpc2.ErrInternal, bug))
		}
	}()
	switch req.Method() {
	case protocol.MethodInitialize:
		return answer(ctx, reply, req, s.initialize)
	case protocol.MethodShutdown:
		s.stopped = true
		return reply(ctx, nil, nil)
	case protocol.MethodTextDocumentDidOpen:
		return answer(ctx, reply, req, s.open)
	case protocol.MethodTextDocumentDidChange:
		return answer(ctx, reply, req, s.change)
	case protocol.MethodTextDocumentDidClose:
		return answer(ctx, reply, req, s.close)
	case protocol.MethodTextDocumentDidSave, protocol.MethodWorkspaceDidChangeWatchedFiles:
		s.changed() // a file that is not open may have changed too
		return reply(ctx, nil, nil)
	case protocol.MethodTextDocumentCompletion:
		return answer(ctx, reply, req, s.completion)
	case protocol.MethodTextDocumentHover:
		return answer(ctx, reply, req, s.hover)
	case protocol.MethodTextDocumentDefinition:
		return answer(ctx, reply, req, s.definition)
	case protocol.MethodTextDocumentFormatting:
		return answer(ctx, reply, req, s.format)
	case protocol.MethodInitialized, protocol.MethodCancelRequest, protocol.MethodSetTrace:
		return reply(ctx, nil, nil)
	}
	return jsonrpc2.MethodNotFoundHandler(ctx, reply, req)
}

// answer reads a message's parameters and replies with what f makes of them.
func answer[P any](ctx context.Context, reply jsonrpc2.Replier, req jsonrpc2.Request, f func(*P) (any, error)) error {
	var params P
	if err := json.Unmarshal(req.Params(), &params); err != nil {
		return reply(ctx, nil, fmt.Errorf("%w: %w", jsonrpc2.ErrParse, err))
	}
	result, err := f(&params)
	return reply(ctx, result, err)
}

func (s *Server) initialize(p *protocol.InitializeParams) (any, error) {
	if text := p.Capabilities.TextDocument; text != nil && text.Completion != nil && text.Completion.CompletionItem != nil {
		s.snippets = text.Completion.CompletionItem.SnippetSupport
	}
	return &protocol.InitializeResult{
		Capabilities: protocol.ServerCapabilities{
			TextDocumentSync: protocol.TextDocumentSyncOptions{
				OpenClose: true, Change: protocol.TextDocumentSyncKindFull, Save: &protocol.SaveOptions{},
			},
			CompletionProvider:         &protocol.CompletionOptions{TriggerCharacters: []string{".", "\"", "="}},
			HoverProvider:              true,
			DefinitionProvider:         true,
			DocumentFormattingProvider: true,
		},
		ServerInfo: &protocol.ServerInfo{Name: "labctl", Version: s.version},
	}, nil
}

func (s *Server) open(p *protocol.DidOpenTextDocumentParams) (any, error) {
	return nil, s.set(p.TextDocument.URI, p.TextDocument.Text)
}

func (s *Server) change(p *protocol.DidChangeTextDocumentParams) (any, error) {
	if len(p.ContentChanges) == 0 {
		return nil, nil
	}
	return nil, s.set(p.TextDocument.URI, p.ContentChanges[len(p.ContentChanges)-1].Text)
}

func (s *Server) set(uri protocol.DocumentURI, text string) error {
	path, err := pathOf(uri)
	if err != nil {
		return err
	}
	s.documents[path] = &document{uri: uri, path: path, text: []byte(text)}
	s.changed()
	return nil
}

func (s *Server) close(p *protocol.DidCloseTextDocumentParams) (any, error) {
	path, err := pathOf(p.TextDocument.URI)
	if err != nil {
		return nil, err
	}
	delete(s.documents, path)
	s.changed()
	return nil, nil
}

// changed forgets what was read, and sees to it that the editor is told what is wrong now.
func (s *Server) changed() {
	clear(s.labs)
	if s.timer != nil {
		s.timer.Stop()
	}
	s.timer = time.AfterFunc(settle, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		defer func() {
			if bug := recover(); bug != nil {
				_ = s.conn.Notify(context.Background(), protocol.MethodWindowLogMessage, &protocol.LogMessageParams{
					Type: protocol.MessageTypeError, Message: fmt.Sprintf("this is a bug in labctl: %v", bug),
				})
			}
		}()
		s.publish(context.Background())
	})
}
