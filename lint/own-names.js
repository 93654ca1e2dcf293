/**
 * Owns: the lint rule `tollbook/own-names`: nothing is looked up, set or searched in a plain object by a name that is only
 * known at run time.
 * Does not own: what stands in for it: `ownValue` and `nameMap` of src/runtime/name-map.ts, or a Map.
 * Why: every plain object answers to `constructor` and `toString`, and anyone may send those as the name of a meter.
 * What it looks at is the type: an object with a string index signature, such as Record<string, T>, and a name that is any
 * string. Names of a closed set, such as a union of literals, are none from outside.
 */
import ts from 'typescript';

const MESSAGE =
  'A name from outside may be `constructor`: use ownValue or nameMap (src/runtime/name-map.ts), or a Map.';
const SAFE_TYPE = 'NameMap';

/** The rule; it needs type information. */
export const ownNames = {
  meta: { type: 'problem', schema: [], messages: { own: MESSAGE } },
  create(context) {
    const services = context.sourceCode.parserServices;
    const checker = services.program.getTypeChecker();

    function partsOf(node) {
      const type = checker.getNonNullableType(services.getTypeAtLocation(node));
      return type.isUnion() ? type.types : [type];
    }

    function isAnyName(node) {
      return partsOf(node).some((part) => (part.flags & (ts.TypeFlags.String | ts.TypeFlags.TemplateLiteral)) !== 0);
    }

    function holdsAnyName(node) {
      return partsOf(node).some((part) => part.getStringIndexType() !== undefined && part.symbol?.name !== SAFE_TYPE);
    }

    function check(node, name, object) {
      if (isAnyName(name) && holdsAnyName(object)) context.report({ node, messageId: 'own' });
    }

    return {
      MemberExpression(node) {
        if (node.computed) check(node, node.property, node.object);
      },
      BinaryExpression(node) {
        if (node.operator === 'in' && node.left.type !== 'PrivateIdentifier') check(node, node.left, node.right);
      },
    };
  },
};
