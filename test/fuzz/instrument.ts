// Counts which branches of our own code an input takes: a hook that compiles modules with a counter in every
// branch. (V8's own block coverage tells the same, but takes milliseconds for every input.)
import { readFileSync } from "node:fs";
import Module from "node:module";
import { join, relative } from "node:path";
import ts from "typescript";

/** Hits of each branch; an input's are counted from zero. Few enough branches to have one each. */
export const hits = new Uint8Array(1 << 14);

/** Text in the instrumented modules: words that an input may need. */
export const words = new Set<string>();

const root = join(__dirname, "../..");
let branches = 0;

type Extension = (module: NodeModule & { _compile(code: string, name: string): void }, name: string) => void;

/** From now on modules of these folders are compiled with counters. */
export function instrument(folders: readonly string[]): void {
  (globalThis as { __hits?: Uint8Array }).__hits = hits;
  const extensions = (Module as unknown as { _extensions: Record<string, Extension> })._extensions;
  const plain = extensions[".ts"]!;
  extensions[".ts"] = (module, name) => {
    const path = relative(root, name);
    if (!folders.some((folder) => path.startsWith(folder))) return plain(module, name);
    const { outputText } = ts.transpileModule(readFileSync(name, "utf8"), {
      fileName: name,
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.CommonJS,
        esModuleInterop: true,
        inlineSourceMap: true,
      },
      transformers: { before: [counted] },
    });
    if (branches > hits.length) throw new Error("more branches than counters");
    module._compile(outputText, name);
  };
}

const choosing = new Set<ts.SyntaxKind>([
  ts.SyntaxKind.AmpersandAmpersandToken,
  ts.SyntaxKind.BarBarToken,
  ts.SyntaxKind.QuestionQuestionToken,
]);

/** Puts a counter in front of each branch. */
const counted: ts.TransformerFactory<ts.SourceFile> = (context) => {
  const { factory } = context;
  const count = () =>
    factory.createPostfixIncrement(
      factory.createElementAccessExpression(factory.createIdentifier("__hits"), branches++),
    );
  const statement = () => factory.createExpressionStatement(count());
  const within = (body: ts.Statement) =>
    ts.isBlock(body)
      ? factory.updateBlock(body, [statement(), ...body.statements])
      : factory.createBlock([statement(), body]);
  const before = (value: ts.Expression) =>
    factory.createParenthesizedExpression(factory.createComma(count(), value));

  const visit = (node: ts.Node): ts.Node => {
    if (ts.isStringLiteral(node) && node.text.length <= 40) words.add(node.text);
    const seen = ts.visitEachChild(node, visit, context);
    if (ts.isIfStatement(seen)) {
      const otherwise = seen.elseStatement ?? factory.createBlock([]);
      return factory.updateIfStatement(seen, seen.expression, within(seen.thenStatement), within(otherwise));
    }
    if (ts.isForStatement(seen)) {
      const { initializer, condition, incrementor, statement: body } = seen;
      return factory.updateForStatement(seen, initializer, condition, incrementor, within(body));
    }
    if (ts.isForOfStatement(seen)) {
      const { awaitModifier, initializer, expression, statement: body } = seen;
      return factory.updateForOfStatement(seen, awaitModifier, initializer, expression, within(body));
    }
    if (ts.isWhileStatement(seen))
      return factory.updateWhileStatement(seen, seen.expression, within(seen.statement));
    if (ts.isCaseClause(seen)) {
      return factory.updateCaseClause(seen, seen.expression, [statement(), ...seen.statements]);
    }
    if (ts.isDefaultClause(seen)) return factory.updateDefaultClause(seen, [statement(), ...seen.statements]);
    if (ts.isCatchClause(seen)) {
      return factory.updateCatchClause(seen, seen.variableDeclaration, within(seen.block) as ts.Block);
    }
    if (ts.isConditionalExpression(seen)) {
      const { condition, questionToken, whenTrue, colonToken, whenFalse } = seen;
      return factory.updateConditionalExpression(
        seen,
        condition,
        questionToken,
        before(whenTrue),
        colonToken,
        before(whenFalse),
      );
    }
    if (ts.isBinaryExpression(seen) && choosing.has(seen.operatorToken.kind)) {
      return factory.updateBinaryExpression(seen, seen.left, seen.operatorToken, before(seen.right));
    }
    if (ts.isArrowFunction(seen) && !ts.isBlock(seen.body)) {
      const { modifiers, typeParameters, parameters, type, equalsGreaterThanToken, body } = seen;
      return factory.updateArrowFunction(
        seen,
        modifiers,
        typeParameters,
        parameters,
        type,
        equalsGreaterThanToken,
        before(body),
      );
    }
    return seen;
  };
  return (file) => ts.visitNode(file, visit) as ts.SourceFile;
};
